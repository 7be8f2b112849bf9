"""The specs of a deployment as one value: those that stand, and what is wrong with the others.

What belongs here: looking into that value, and taking specs out of it. What does not: why a spec falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from include.specs.groups import FeatureGroupSpec
from include.specs.labels import LabelKind
from include.specs.models import ModelSpec
from include.specs.services import FeatureServiceSpec
from include.specs.sources import SourceSpec

SpecKind = Literal["source", "feature group", "feature service", "label", "model"]


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a file.

    Attributes
    ----------
    kind : {"source", "feature group", "feature service", "label", "model"}
        What the file is.
    name : str
        The file's name, without ``.yaml`` or ``.sql``.
    message : str
        A sentence that begins with the file's name.
    """

    kind: SpecKind
    name: str
    message: str


@dataclass(frozen=True)
class Specs:
    """The specs that stand, by the name of their file, and what is wrong with the others.

    Attributes
    ----------
    groups, services, models : mapping of str to spec
        In order of their names.
    labels : mapping of str to LabelKind
        Likewise; a model that has one which doesn't stand does not load.
    added : set of str
        Names of the models that only the overlay has.
    violations : tuple of Violation
    sources : mapping of str to SourceSpec
        In order of their names.
    """

    groups: Mapping[str, FeatureGroupSpec]
    services: Mapping[str, FeatureServiceSpec]
    models: Mapping[str, ModelSpec]
    labels: Mapping[str, LabelKind] = field(default_factory=dict)
    added: Set[str] = frozenset()
    violations: tuple[Violation, ...] = ()
    sources: Mapping[str, SourceSpec] = field(default_factory=dict)

    def names(self, kind: SpecKind) -> tuple[str, ...]:
        """Return the names of a kind's files, of those that stand and of those that don't."""
        standing: Mapping[SpecKind, Mapping[str, object]] = {
            "source": self.sources,
            "feature group": self.groups,
            "feature service": self.services,
            "label": self.labels,
            "model": self.models,
        }
        return tuple(sorted({*standing[kind], *(found.name for found in self.violations if found.kind == kind)}))

    def violations_of(self, kind: SpecKind, name: str) -> tuple[Violation, ...]:
        """Return what is wrong with a file."""
        return tuple(found for found in self.violations if (found.kind, found.name) == (kind, name))

    def seniority(self, model: str) -> tuple[bool, str]:
        """Return the place of a model in the order in which models stand against one another."""
        return model in self.added, model

    def without(self, violations: tuple[Violation, ...]) -> Specs:
        """Return the specs without those that these violations are about."""
        wrong = {(found.kind, found.name) for found in violations}
        return replace(
            self,
            groups={name: spec for name, spec in self.groups.items() if ("feature group", name) not in wrong},
            services={name: spec for name, spec in self.services.items() if ("feature service", name) not in wrong},
            labels={name: kind for name, kind in self.labels.items() if ("label", name) not in wrong},
            models={name: spec for name, spec in self.models.items() if ("model", name) not in wrong},
            violations=(*self.violations, *violations),
        )
