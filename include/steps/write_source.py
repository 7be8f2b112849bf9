"""Write a proposed source, or format of one, where this deployment reads its specs.

What belongs here: where it goes, what goes beside it, and that nothing is overwritten. What does not: what is proposed.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from include.errors import UsageError
from include.settings import Settings
from include.specs.sources import SourceSpec, load_source, source_folders, source_names
from include.specs.yaml_files import CONFIG_ROOT, laid_over, read_spec, validated, yaml_text
from include.steps.propose_source import Proposal

# What holds for a log that nobody has measured.
OWN_LOG = CONFIG_ROOT / "overlays" / "own_log"

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def require_new_source(name: str) -> None:
    """Raise UsageError where a source can't have that name, or has it."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"NAME={name!r} is no name of a source; write small letters, digits and _, e.g. meter_readings"
        )
    require_absent(source_folders()[-1] / f"{name}.yaml")
    if name in source_names():
        raise UsageError(f"there is a source {name!r} already; name another, or make a format of it: --for {name}")


def proposal_text(proposal: Proposal, *, file: str) -> str:
    """Return a proposal as a YAML file, with what to look at first above."""
    head = f"Guessed from the first {proposal.guess.rows:,} rows of {file}: read it, and correct it."
    return "".join(f"# {said}\n" for said in (head, *proposal.to_read)) + yaml_text(proposal.values)


def write_source(proposal: Proposal, *, file: str) -> tuple[Path, ...]:
    """Write a source of its own; return what was written.

    Raises
    ------
    UsageError
        If there is one of that name.
    """
    path = source_folders()[-1] / f"{proposal.source}.yaml"
    validated(SourceSpec, dict(proposal.values), path)
    return (write_new(path, proposal_text(proposal, file=file)),)


def write_format(proposal: Proposal, *, file: str) -> tuple[Path, ...]:
    """Lay a format over a source in the deployment's overlay, and put values for such a log beside it.

    Raises
    ------
    UsageError
        If there is no overlay, or it says something of the source, or the source has the format.
    """
    overlay = Settings.from_env().specs_overlay
    if overlay is None:
        raise UsageError(
            "a format is laid over a source in a folder of your own, which is made: say which, e.g. "
            f"MLOPS_SPECS=$PWD/specs mlops sources new {proposal.file_format} --for {proposal.source} --from {file}"
        )
    spec = load_source(proposal.source)
    if proposal.file_format in spec.format_names:
        raise UsageError(f"{spec.source} has a format {proposal.file_format!r} already; give another name")
    path = overlay / "sources" / f"{proposal.source}.yaml"
    values, _ = read_spec(source_folders(), proposal.source, kind="source", growing=("formats",))
    validated(SourceSpec, laid_over(values, dict(proposal.values), path, growing=("formats",)), path)
    written = write_new(path, proposal_text(proposal, file=file))
    beside = [shipped for shipped in sorted(OWN_LOG.glob("*.yaml")) if not (overlay / shipped.name).exists()]
    return (written, *(Path(shutil.copyfile(shipped, overlay / shipped.name)) for shipped in beside))


def write_new(path: Path, text: str) -> Path:
    """Write a file, and the folder that it is in.

    Raises
    ------
    UsageError
        As `require_absent`.
    """
    require_absent(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def require_absent(path: Path) -> None:
    """Raise UsageError where a file is there."""
    if path.exists():
        raise UsageError(f"{path} is there already, and is not overwritten; take it away, or write into it by hand")
