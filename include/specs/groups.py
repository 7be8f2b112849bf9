"""Feature-group specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/features``. What does not: what a value means to a computation,
which is where the computation is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from include.errors import SpecError, one_line
from include.settings import PROJECT_ROOT
from include.specs.conditions import moments_in
from include.specs.sources import load_people
from include.specs.yaml_files import (
    CONFIG_ROOT,
    Days,
    Fraction,
    Frozen,
    Identifier,
    Name,
    Owner,
    kept,
    read_spec,
    spec_folders,
    spec_names,
    validated,
)
from include.tables import TableSpec, Whose, Word, features_name, features_table, predictions_name, raw_name

# What a group's statement is asked for.
_PARAMETERS = ("start_day", "end_day")
# What a group's table has beside its keys and features.
_OF_EVERY_GROUP = ("event_timestamp", "created_timestamp", "dt")


class EntitySpec(Frozen):
    """What one row is about: its name, and the columns that together tell one from another, in their order."""

    name: Annotated[Identifier, Field(description="what one row is about")]
    keys: Annotated[
        tuple[Identifier, ...],
        Field(strict=False, min_length=1, description="columns that together tell one from another, in their order"),
    ]

    @field_validator("keys")
    @classmethod
    def _keys_are_distinct_and_say_whose_data_it_is(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{', '.join(value)}: a column is named twice; name each once")
        load_people().find(value)
        return value

    @property
    def whose(self) -> Whose:
        """Whose data a row is."""
        return load_people().find(self.keys)


class ColumnSpec(Frozen):
    """One feature: its name, Arrow dtype, unit, meaning, bounds, and the fraction of a partition that may be null."""

    name: Annotated[Identifier, Field(description="as the statement gives it")]
    dtype: Annotated[Literal["int64", "float32", "float64", "string"], Field(description="Arrow's name of the type")]
    unit: Annotated[str, Field(description="of a value")]
    meaning: Annotated[str, Field(description="how it is computed, in a sentence")]
    of: Annotated[
        Literal["score", "rank", "decision"] | None,
        Field(description="of a group of scores without a statement: what of a prediction it is"),
    ] = None
    min: Annotated[float | None, Field(description="least value; null: any")] = None
    max: Annotated[float | None, Field(description="greatest value; null: any")] = None
    nulls_max: Annotated[Fraction, Field(description="most of a partition's share of nulls")] = 0.0
    lookback_days: Annotated[
        Days | None,
        Field(
            description="days of history that a value is made of; of less history its shift is told and asks for no "
            "retrain; null: none"
        ),
    ] = None

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> ColumnSpec:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min={self.min:g} is above max={self.max:g}: no value of {self.name} would do")
        return self


class VolumeSpec(Frozen):
    """How many rows a partition may have, as a ratio to the one of the same weekday a week before.

    It is judged only where the earlier partition has at least ``rows_min`` rows.
    """

    rows_min: Annotated[int, Field(ge=1, description="rows a week before; with fewer volume is not judged")]
    ratio_min: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None, Field(description="least of the rows against a week before")
    ]
    ratio_max: Annotated[Annotated[float, Field(ge=1)] | None, Field(description="most of them against it")]


class FeatureGroupSpec(Frozen):
    """A feature group: one SQL statement, one table, one Feast view.

    ``sources`` are those that the statement reads, by their names; a group of scores, ``scored_by`` a model, reads
    ``predictions`` instead, and needs no statement where its columns say what of a prediction they are.
    ``freshness_days`` is how old the newest day of what is read may be at the end of a partition.
    """

    group: Annotated[Name, Field(description="the file's name, and the statement's: GROUP.sql")]
    description: Annotated[str, Field(description="what one row is")]
    owner: Owner
    entity: EntitySpec
    sources: Annotated[
        tuple[Identifier, ...], Field(strict=False, description="what the statement reads, by name; or scored_by")
    ] = ()
    scored_by: Annotated[
        Identifier | None, Field(description="the model whose predictions the statement reads; or sources")
    ] = None
    ttl_days: Annotated[Days, Field(description="days; how long a value serves")]
    freshness_days: Annotated[Days, Field(description="days; how old the newest day of what is read may be")]
    volume: VolumeSpec
    columns: Annotated[tuple[ColumnSpec, ...], Field(strict=False, min_length=1)]

    @property
    def reads(self) -> dict[str, str]:
        """The lake tables that the group's statement reads, by what it calls them."""
        if self.scored_by:
            return {"predictions": predictions_name(self.scored_by)}
        return {source: raw_name(source) for source in self.sources}

    @property
    def read_tables(self) -> tuple[str, ...]:
        """Their names in the lake."""
        return tuple(self.reads.values())

    @model_validator(mode="after")
    def _reads_sources_or_scores(self) -> FeatureGroupSpec:
        if bool(self.sources) == bool(self.scored_by):
            raise ValueError("a group reads either sources: [NAME] or scores, scored_by: MODEL; write one of the two")
        if twice := sorted({name for name in self.sources if self.sources.count(name) > 1}):
            raise ValueError(f"sources names {twice[0]!r} twice; name each once")
        return self

    @model_validator(mode="after")
    def _writes_back_all_or_nothing(self) -> FeatureGroupSpec:
        said = [column.name for column in self.columns if column.of is not None]
        if said and self.scored_by is None:
            raise ValueError(f"columns.{said[0]}.of is of a prediction: name the model with scored_by, or leave it out")
        if said and (silent := [name for name in self.feature_names if name not in said]):
            raise ValueError(
                f"columns.{silent[0]} says not what of a prediction it is (of: score, rank or decision), as "
                f"{said[0]} does; say it for each column, or for none and write a statement"
            )
        return self

    @model_validator(mode="after")
    def _features_are_columns_of_their_own(self) -> FeatureGroupSpec:
        names = self.feature_names
        if taken := sorted(set(names) & {*self.entity.keys, *_OF_EVERY_GROUP}):
            raise ValueError(
                f"columns names {taken[0]!r}, which the group's table has anyway: keys as text, two times and the day; "
                "leave it out, or give the feature another name"
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns names {twice[0]!r} twice; name each once")
        return self

    @property
    def table(self) -> str:
        """The group's lake table."""
        return features_name(self.group)

    @property
    def lake_table(self) -> TableSpec:
        """What the group's lake table is."""
        return features_table(self.group, self.entity.keys, self.column_types, self.entity.whose)

    @property
    def is_written_back(self) -> bool:
        """Whether the columns are a model's predictions as they are: then no statement is written."""
        return any(column.of is not None for column in self.columns)

    @property
    def sql_path(self) -> Path:
        """The group's definition: beside its YAML in an overlay, or else the one that ships."""
        shipped, *added = spec_folders(PROJECT_ROOT / "include" / "features")
        paths = [folder / f"{self.group}.sql" for folder in (*added, shipped)]
        return next((path for path in paths if path.is_file()), paths[-1])

    @property
    def column_types(self) -> dict[str, Word]:
        """The dtype of each column, by name, in order."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)


def load_feature_groups() -> tuple[FeatureGroupSpec, ...]:
    """Return every feature group's spec, ordered by name."""
    return tuple(load_feature_group(name) for name in spec_names(group_folders()))


def group_folders() -> tuple[Path, ...]:
    """Return the folders that feature groups are read from."""
    return spec_folders(CONFIG_ROOT / "features")


def load_feature_group(group: str) -> FeatureGroupSpec:
    """Return one feature group's spec.

    Raises
    ------
    SpecError
        If there is no such group, a value isn't allowed, or the group has no statement that says of which days it is.
    """
    return _load_feature_group(group, group_folders())


@kept
def _load_feature_group(group: str, folders: tuple[Path, ...]) -> FeatureGroupSpec:
    values, path = read_spec(folders, group, kind="feature group")
    spec = validated(FeatureGroupSpec, values, path)
    if spec.is_written_back:
        if spec.sql_path.is_file():
            raise SpecError(
                f"{path.name}: columns say what of a prediction they are (of: …) and {spec.sql_path.name} says it too; "
                "keep one of the two"
            )
        return spec
    if not spec.sql_path.is_file():
        where = "include/features" if path.parent == folders[0] else path.parent
        raise SpecError(
            f"{path.name}: group={spec.group!r} has no statement; write {where}/{spec.group}.sql"
            + ("; or say of each column what of a prediction it is, of: score" if spec.scored_by else "")
        )
    _require_days_alone(spec.sql_path)
    return spec


def _require_days_alone(statement: Path) -> None:
    """Check that it is the days asked for that say which rows a statement gives, and nothing of the moment."""
    try:
        text = statement.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise SpecError(f"{statement.name}: can't be read: {one_line(err)}; write it in UTF-8") from err
    if lacking := [name for name in _PARAMETERS if f"${name}" not in text]:
        raise SpecError(
            f"{statement.name}: the statement names no ${' and no $'.join(lacking)}; it is to give the days from "
            "$start_day to $end_day, both included"
        )
    if moments := moments_in(text):
        raise SpecError(
            f"{statement.name}: the statement says something else each time it is run ({moments[0]}); a row is that of "
            "its day, whenever it is built"
        )
