"""The specs of this deployment: those that stand, and what is wrong with the others.

What belongs here: finding the files, and reading each whatever is wrong with its neighbours. What does not: the schema
of a file, and what is wrong with several together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from include.errors import SpecError, nearest
from include.settings import Settings
from include.specs.groups import group_folders, load_feature_group
from include.specs.labels import label_kinds, load_label_kind
from include.specs.models import ModelSpec, load_model, model_folders
from include.specs.services import load_feature_service, service_folders
from include.specs.sources import load_source, source_folders
from include.specs.standing import SpecKind, Specs, Violation
from include.specs.whole import hold_together
from include.specs.yaml_files import CONFIG_ROOT, forget_names, spec_files, spec_names

_Spec = TypeVar("_Spec")

# The folders of an overlay that add to what ships, beside its models.
ADDED = ("features", "services", "sources")


def load_specs() -> Specs:
    """Return the specs that stand, and what is wrong with the others.

    A file that is wrong takes down what reads it, and nothing else: what goes through all of a kind and may not leave
    one out (erasure, expiry) takes ``load_models`` and its like, which raise.
    """
    overlay = Settings.from_env().specs_overlay
    shipped = spec_names([CONFIG_ROOT / "models"])
    names = spec_names(model_folders())
    added = [name for name in names if name not in shipped]
    sources, wrong_sources = _read("source", spec_names(source_folders()), load_source)
    groups, wrong_groups = _read("feature group", spec_names(group_folders()), load_feature_group)
    services, wrong_services = _read("feature service", spec_names(service_folders()), load_feature_service)
    models, wrong_models = _read("model", names, load_model)
    labels, wrong_labels = _read("label", sorted(label_kinds(overlay)), lambda name: load_label_kind(name, overlay))
    violations = (
        *wrong_sources,
        *_misnamed("source", source_folders()),
        *wrong_groups,
        *_misnamed("feature group", group_folders()),
        *wrong_services,
        *_misnamed("feature service", service_folders()),
        *_over_no_model(added, shipped, wrong_models),
        *wrong_models,
        *wrong_labels,
        *_misnamed("model", model_folders()),
        *_misplaced(overlay),
    )
    return hold_together(Specs(groups, services, models, labels, frozenset(added), violations, sources))


def read_ahead() -> None:
    """Read the files as they are, so that a fork of this process works out only what other texts mean by then."""
    load_specs()
    forget_names()


def require_standing(model_id: str) -> None:
    """Raise SpecError with what is wrong with a model, beside the others too; not where there is no such model."""
    if wrong := load_specs().violations_of("model", model_id):
        raise SpecError(*(found.message for found in wrong))


def find_model_files(model_id: str) -> list[Path]:
    """Return the files that a model's spec is made of: the one that ships, and the one laid over it."""
    return spec_files(model_folders(), model_id, kind="model")


def tell_gates(spec: ModelSpec) -> str:
    """Say by which values a model's versions are judged, and in which file they stand."""
    gates = ", ".join(f"gates.{name}={value}" for name, value in sorted(spec.gates.model_dump().items()))
    return f"the gates of {find_model_files(spec.model_id)[-1]} hold: {gates}"


def _read(
    kind: SpecKind, names: Sequence[str], load: Callable[[str], _Spec]
) -> tuple[dict[str, _Spec], list[Violation]]:
    found: dict[str, _Spec] = {}
    wrong: list[Violation] = []
    for name in names:
        try:
            found[name] = load(name)
        except SpecError as err:
            wrong += [Violation(kind, name, said) for said in err.violations]
    return found, wrong


def _misnamed(kind: SpecKind, folders: Sequence[Path]) -> Iterator[Violation]:
    """Find the files that look like specs and are not read."""
    for path in [path for folder in folders for path in sorted(folder.glob("*.*"))]:
        if path.suffix != ".yaml" and path.suffix.lower() in (".yaml", ".yml"):
            yield Violation(kind, path.name, f"{path.name} is not read; rename it {path.stem}.yaml")


def _misplaced(overlay: Path | None) -> Iterator[Violation]:
    for path in sorted(overlay.glob("*/*.yaml")) if overlay is not None else []:
        if path.parent.name in ADDED:
            continue
        name = f"{path.parent.name}/{path.name}"
        yield Violation(
            "model",
            name,
            f"{name} is not read; MLOPS_SPECS={overlay} holds a MODEL.yaml for each model, and {', '.join(ADDED)}",
        )


def _over_no_model(added: Sequence[str], shipped: Sequence[str], wrong: Sequence[Violation]) -> Iterator[Violation]:
    """Find the overlays that were meant for a model of another name."""
    parts = {found.name for found in wrong if found.message.endswith(" is missing")}
    for name in added:
        if name in parts:
            yield Violation(
                "model",
                name,
                f"{name}.yaml is neither a whole model nor laid over one; known: {', '.join(shipped)}"
                f"{nearest(name, shipped)}",
            )
