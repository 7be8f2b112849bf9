"""Every table and folder of the lake, once: what a row is, its columns, whose data it holds, how long it is kept.

What belongs here: what is true of a table whoever reads or writes it. Expiry, erasure and the accounts walk this list:
a table that is added here is expired, erased from and counted without another line. What does not: which tables a lake
holds so far, and reading or writing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from include.errors import nearest

if TYPE_CHECKING:
    import pyarrow as pa

Word: TypeAlias = Literal["string", "int32", "int64", "float32", "float64", "bool", "date", "instant"]

# A night can still be looked into when the same night of the next year is asked about.
_OVER_A_YEAR = 400
# Below it a folder for each model, also of those that are not any more.
STAGED_SCORES = "staged_scores"


class Person(StrEnum):
    """How a row names a person."""

    NAMED = "named"  # By a column that names somebody.
    BELONGING = "belonging"  # By something that is somebody's, as the rows of a source say.
    DELIVERED_ROW = "delivered row"  # By the row that was delivered, in the words of its file.
    NOBODY = "nobody"


@dataclass(frozen=True)
class Whose:
    """Whose data a row is: how it names a person, and the column that does."""

    person: Person
    column: str | None = None


OF_NOBODY = Whose(Person.NOBODY)


@dataclass(frozen=True)
class People:
    """Which columns name somebody, which name what is somebody's, and which tell of many people together.

    Attributes
    ----------
    unread : tuple of str
        Sources whose specs can't be used, and so say nothing.
    """

    named: frozenset[str]
    belonging: frozenset[str]
    nameless: frozenset[str]
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, each: Iterable[People]) -> People:
        """Return what several sources say; a column that names somebody to one of them does."""
        found = list(each)
        named, belonging, nameless = (
            frozenset[str]().union(*(getattr(people, kind) for people in found))
            for kind in ("named", "belonging", "nameless")
        )
        return cls(named, belonging - named, nameless - named - belonging)

    def find(self, keys: tuple[str, ...]) -> Whose:
        """Return how rows with these entity keys name a person.

        Raises
        ------
        ValueError
            If it is not known whose data they are.

        Examples
        --------
        >>> people = People(frozenset({"customer"}), frozenset({"basket"}), frozenset({"shelf"}))
        >>> people.find(("shelf", "customer")), people.find(("shelf",))
        (Whose(person=<Person.NAMED: 'named'>, column='customer'), Whose(person=<Person.NOBODY: 'nobody'>, column=None))
        """
        for person, columns in ((Person.NAMED, self.named), (Person.BELONGING, self.belonging)):
            if found := next((key for key in keys if key in columns), None):
                return Whose(person, found)
        if unknown := [key for key in keys if key not in self.nameless]:
            known = self.named | self.belonging | self.nameless
            asked = f"whose data are rows by {', '.join(unknown)}?"
            if self.unread:
                files = ", ".join(f"{name}.yaml" for name in self.unread)
                raise ValueError(f"{asked} {files} can't be used, and may say it: correct it first")
            raise ValueError(
                f"{asked} Nobody could be erased from them; say it under people: of a source that has the column"
                f"{nearest(unknown[0], sorted(known))}"
            )
        return OF_NOBODY


@dataclass(frozen=True)
class TableSpec:
    """A Delta table of the lake.

    Attributes
    ----------
    name : str
        Below the lake's root.
    row : str
        What one row is.
    schema : mapping of str to str
        The type of each column, in order; an instant is a time in UTC, in microseconds.
    key : tuple of str
        The columns that tell one row from another.
    whose : Whose
    partition_by : str
    sorted_by : tuple of str
        How rows lie within a partition; empty where nobody says.
    kept_days : int or None
        The age at which a partition of a log is removed; None where rows are kept for good: what is published stays
        published. Rows that were replaced are another matter: every table keeps them for ``MLOPS_RETENTION_DAYS``.
    is_log : bool
        It says what was done; accounts of the data do not count its rows.
    is_open : bool
        It has columns beside these, which a version of the model brings: the features that it reads, or the times at
        which those of its other groups had become known.
    """

    name: str
    row: str
    schema: Mapping[str, Word]
    key: tuple[str, ...]
    whose: Whose
    partition_by: str = "dt"
    sorted_by: tuple[str, ...] = ()
    kept_days: int | None = None
    is_log: bool = False
    is_open: bool = False

    def __post_init__(self) -> None:
        named = {*self.key, self.partition_by, *self.sorted_by} | ({self.whose.column} if self.whose.column else set())
        if absent := sorted(named - set(self.schema)):
            raise ValueError(f"{self.name} has no column {absent[0]!r}; it has {', '.join(self.schema)}")
        if self.kept_days is not None and not (self.is_log and self.partition_by == "dt"):
            raise ValueError(f"{self.name} can't be kept for {self.kept_days} days: only a log by day has an age")

    def arrow_schema(self) -> pa.Schema:
        """Return the columns as Arrow has them."""
        import pyarrow as pa

        types = {"bool": pa.bool_(), "date": pa.date32(), "instant": pa.timestamp("us", tz="UTC")}
        return pa.schema([(name, types.get(word) or getattr(pa, word)()) for name, word in self.schema.items()])


@dataclass(frozen=True)
class FolderSpec:
    """A folder of files beside the tables.

    Attributes
    ----------
    name : str
        Below the lake's root.
    file : str
        What one file is.
    whose : Whose
        Whose data its rows are.
    kept_days : int or None
        The age at which a file is removed, unless a training set that is kept looks at its day; None where something
        else decides.
    kept : str
        How long a file is kept where `kept_days` does not say it.
    """

    name: str
    file: str
    whose: Whose
    kept_days: int | None
    kept: str = "for good"


def features_name(group: str) -> str:
    """Return the name of a feature group's table."""
    return f"features/{group}"


def predictions_name(model_id: str) -> str:
    """Return the name of a model's table of scores."""
    return f"predictions/{model_id}"


def scoring_manifests_name(model_id: str) -> str:
    """Return the name of the folder of what made a model's scores, below it a folder for each role."""
    return f"scoring_manifests/{model_id}"


def staged_scores_name(model_id: str) -> str:
    """Return the name of the folder of a model's scores that wait for the commit of their night."""
    return f"{STAGED_SCORES}/{model_id}"


def outcomes_name(model_id: str) -> str:
    """Return the name of a model's table of what became of whom it scored."""
    return f"outcomes/{model_id}"


def online_vectors_name(model_id: str) -> str:
    """Return the name of the log of what a model was given online."""
    return f"online_vectors/{model_id}"


def training_sets_name(model_id: str) -> str:
    """Return the name of the folder of a model's training sets."""
    return f"training_sets/{model_id}"


def quality_reports_name(group: str) -> str:
    """Return the name of the folder of a feature group's quality reports."""
    return f"quality_reports/{group}"


def ledger_heads_name(history: str) -> str:
    """Return the name of the folder of the hashes of a history's rows, below it a folder for each model."""
    return f"{LEDGER_HEADS.name}/{history}"


def raw_name(source: str) -> str:
    """Return the name of a source's table."""
    return f"raw/{source}"


def raw_table(
    source: str, columns: Mapping[str, Word], *, key: tuple[str, ...], sorted_by: tuple[str, ...], people: People
) -> TableSpec:
    """Return the table of a source's rows, by the types of its columns."""
    person, belonging = sorted(people.named), sorted(people.belonging & set(columns))
    whose = Whose(Person.NAMED, person[0]) if person else OF_NOBODY
    if not person and belonging:
        whose = Whose(Person.BELONGING, belonging[0])
    return TableSpec(
        name=raw_name(source),
        row="one row of the source that passed its rules",
        schema={**columns, **({} if "received_at" in columns else {"received_at": "instant"}), "dt": "date"},
        key=key,
        whose=whose,
        sorted_by=sorted_by,
    )


def quarantine_table(source: str) -> TableSpec:
    """Return the table of what was set aside of a source."""
    return TableSpec(
        name=f"quarantine/{source}",
        row="one row of a file that broke a rule of the source or lost against another version, and the rule",
        schema={
            "source": "string",
            "row_number": "int64",
            "rule": "string",
            "reason": "string",
            "dt": "date",
            "delivered": "string",
            "row": "string",
        },
        key=("source", "row_number"),
        whose=Whose(Person.DELIVERED_ROW, "row"),
        partition_by="source",
    )


def deliveries_table(source: str) -> TableSpec:
    """Return the log of what came of a source: kept for good, as a night that is measured again is judged by it."""
    return TableSpec(
        name=f"deliveries/{source}",
        row="what became of the rows that one file had for one day",
        schema={
            "month": "string",
            "dt": "date",
            "source": "string",
            "delivered": "string",
            "has_arrived": "bool",
            "rows_in": "int64",
            "rows_published": "int64",
            "rows_quarantined": "int64",
            "rules": "string",
            "rejected_corrections": "int64",
        },
        key=("dt", "source"),
        whose=OF_NOBODY,
        # Every night asks which days have arrived: after years, a file a day would cost more than the night's rows.
        partition_by="month",
        is_log=True,
    )


def features_table(group: str, keys: tuple[str, ...], columns: Mapping[str, Word], whose: Whose) -> TableSpec:
    """Return the table of a feature group, by its entity's keys, the types of its columns and whose data it is."""
    return TableSpec(
        name=features_name(group),
        row="one entity at one time, as known at one time; a correction adds rows, it erases none",
        schema={
            **dict.fromkeys(keys, "string"),
            "event_timestamp": "instant",
            "created_timestamp": "instant",
            **columns,
            "dt": "date",
        },
        key=(*keys, "event_timestamp", "created_timestamp"),
        whose=whose,
    )


def predictions_table(model_id: str, keys: tuple[str, ...], whose: Whose, predicted: Mapping[str, Word]) -> TableSpec:
    """Return the table of a model's scores, by its entity's keys and what follows from a score."""
    return TableSpec(
        name=predictions_name(model_id),
        row="one entity scored for one day by the version in one role",
        schema={
            **dict.fromkeys(keys, "string"),
            "dt": "date",
            "role": "string",
            "score": "float32",
            **predicted,
            "model_version": "int64",
            "feature_event_timestamp": "instant",
            "feature_created_timestamp": "instant",
        },
        key=(*keys, "dt", "role"),
        whose=whose,
        is_open=True,
    )


def outcomes_table(model_id: str, keys: tuple[str, ...], whose: Whose) -> TableSpec:
    """Return the table of the labels of a model's predictions, by its entity's keys.

    A night adds one partition, of all the days whose labels became known then: by the day of the prediction it would
    rewrite as many as a label looks ahead.
    """
    return TableSpec(
        name=outcomes_name(model_id),
        row="what became of an entity that was scored for one day, as known from one time on; null: it is not known "
        "any more; a correction adds rows, it erases none",
        schema={
            **dict.fromkeys(keys, "string"),
            "dt": "date",
            "label": "int32",
            "known_at": "instant",
            "known_on": "date",
        },
        key=(*keys, "dt", "known_at"),
        whose=whose,
        partition_by="known_on",
        sorted_by=("dt", *keys, "known_at"),
    )


def online_vectors_table(model_id: str, keys: tuple[str, ...], whose: Whose) -> TableSpec:
    """Return the log of what a model was given and answered online, by its entity's keys.

    The rows of one process, of one version in one role, are numbered without a gap: a number that is not there is a row
    that was lost.
    """
    return TableSpec(
        name=online_vectors_name(model_id),
        row="one row that a model was asked about online: the features it was given, and what it made of them",
        schema={
            "request_id": "string",
            "request_row": "int32",
            **dict.fromkeys(keys, "string"),
            "event_timestamp": "instant",
            "asked_at": "instant",
            "model_version": "int64",
            "role": "string",
            "is_answer": "bool",
            "score": "float32",
            "decision": "bool",
            "standing": "string",
            "vector_source": "string",
            "fallback": "string",
            "latency_us": "int64",
            "feature_service": "string",
            "table_versions": "string",
            "service_process": "string",
            "sequence_number": "int64",
            "dt": "date",
        },
        key=("request_id", "request_row", "role"),
        whose=whose,
        kept_days=_OVER_A_YEAR,
        is_log=True,
        is_open=True,
    )


def training_sets_folder(model_id: str, whose: Whose) -> FolderSpec:
    """Return the folder of a model's training sets."""
    return FolderSpec(
        name=training_sets_name(model_id),
        file="the examples of one training set, and its manifest",
        whose=whose,
        # A set goes when its version may no longer serve, and not before MLOPS_RETENTION_DAYS after its day.
        kept_days=None,
        kept="while its version may serve",
    )


def scoring_manifests_folder(model_id: str) -> FolderSpec:
    """Return the folder of what made a model's scores."""
    return FolderSpec(
        name=scoring_manifests_name(model_id),
        file="what made the scores of one night in one role, from what, and how many rows were left out and why",
        whose=OF_NOBODY,
        # As the scores themselves.
        kept_days=None,
    )


def staged_scores_folder(model_id: str, whose: Whose) -> FolderSpec:
    """Return the folder of a model's scores that wait for the commit of their night."""
    return FolderSpec(
        name=staged_scores_name(model_id),
        file="the scores of one chunk of a night that several tasks score, or the plan that the chunks share",
        whose=whose,
        kept_days=None,
        kept="until the night is committed; of a run that was given up, until it is planned again, or for two days",
    )


def quality_reports_folder(group: str) -> FolderSpec:
    """Return the folder of a feature group's quality reports."""
    return FolderSpec(
        name=quality_reports_name(group),
        file="what the quality gate found of the build that ended with a day",
        whose=OF_NOBODY,
        kept_days=_OVER_A_YEAR,
    )


LEDGER_HEADS = FolderSpec(
    name="audit/heads",
    file="the hash of one row of a history in the database, written once",
    whose=OF_NOBODY,
    kept_days=None,
)
