"""Feature-service specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/services``. What does not: whether the groups and columns that a
service names are there, which is where specs are held against one another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from include.specs.yaml_files import (
    CONFIG_ROOT,
    Frozen,
    Identifier,
    Owner,
    kept,
    read_spec,
    spec_folders,
    spec_names,
    validated,
)

_Columns = Annotated[tuple[Identifier, ...], Field(strict=False, min_length=1)]


class FeatureServiceSpec(Frozen):
    """A feature service: the versioned list of columns that a model reads.

    Each column is named: a model in Production keeps its columns when a group grows. ``features`` maps groups to their
    columns, in the order in which a model reads them.
    """

    service: Annotated[Identifier, Field(description="the file's name, with its version")]
    description: Annotated[str, Field(description="for whom it is")]
    owner: Owner
    features: Annotated[
        dict[Identifier, _Columns],
        Field(min_length=1, description="columns by group, in the order in which a model reads them"),
    ]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(name for columns in self.features.values() for name in columns)

    @field_validator("features")
    @classmethod
    def _names_are_unique(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        found: dict[str, str] = {}
        for group, columns in value.items():
            for name in columns:
                if name in found:
                    raise ValueError(
                        f"{name} is there twice, from {found[name]} and from {group}; a model reads a name once"
                    )
                found[name] = group
        return value


def load_feature_services() -> tuple[FeatureServiceSpec, ...]:
    """Return every feature service's spec, ordered by name."""
    return tuple(load_feature_service(name) for name in spec_names(service_folders()))


def service_folders() -> tuple[Path, ...]:
    """Return the folders that feature services are read from."""
    return spec_folders(CONFIG_ROOT / "services")


def load_feature_service(service: str) -> FeatureServiceSpec:
    """Return one feature service's spec.

    Raises
    ------
    SpecError
        If there is no such service, or a value isn't allowed.
    """
    return _load_feature_service(service, service_folders())


@kept
def _load_feature_service(service: str, folders: tuple[Path, ...]) -> FeatureServiceSpec:
    values, path = read_spec(folders, service, kind="feature service")
    return validated(FeatureServiceSpec, values, path)
