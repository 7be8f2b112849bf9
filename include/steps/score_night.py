"""Score a night that is open with one version or several, a slice at a time, and count what becomes of its rows.

What belongs here: slices to predictions, several at once in threads, and the account of them. What does not: who
scores (``score_batch``), reading a slice (``read_night``), and where predictions go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import pyarrow as pa

from include.adapters.ahead import ahead
from include.adapters.lake.portions import ROWS_AT_ONCE
from include.adapters.lake.role_rows import in_columns_of
from include.errors import one_line
from include.question.matrix import feature_matrix
from include.scoring.manifest import NightAccount
from include.scoring.predictions import count_decided, prediction_rows
from include.scoring.slices import UnorderedError
from include.specs.lake_tables import list_tables_of
from include.steps.read_inputs import created_column, other_groups

if TYPE_CHECKING:
    from include.adapters.lake.role_rows import Piece
    from include.adapters.registry.model_files import LoadedModel
    from include.scoring.model import Engine
    from include.steps.read_night import Night, Part, Slice

# Each holds a slice; an engine scores one on one core.
_MAX_THREADS = 4
_INSTANT = pa.timestamp("us", tz="UTC")


class ChallengerError(Exception):
    """The challenger can't score the night, for the reason that caused this."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A version in a role, and the night as it reads it; one that scores beside the champion may fail."""

    role: str
    model_version: int
    engine: Engine
    night: Night
    is_beside: bool = False

    @property
    def created(self) -> list[str]:
        """The columns that say when other groups' rows had become known."""
        return [created_column(group) for group in other_groups(self.night.spec, self.night.service)]


@dataclass(frozen=True, kw_only=True)
class Scorer(Pass):
    """A pass whose version is loaded, so that it can be made here."""

    loaded: LoadedModel

    def score(self, read: Slice) -> pa.Table:
        """Return the predictions of a slice.

        Raises
        ------
        ChallengerError
            If it can't, and is beside the champion, of whose scores none shall be lost by it.
        """
        try:
            matrix = feature_matrix(read.rows, self.loaded.signature.feature_names)
            return prediction_rows(
                self.night.spec,
                read.rows,
                self.loaded.model.predict(matrix, engine=self.engine),
                partition=self.night.partition,
                model_version=self.model_version,
                role=self.role,
                created=self.created,
            )
        except Exception as err:  # Whatever a version that nobody relies on may come to.
            if not self.is_beside:
                raise
            raise ChallengerError from err


_Pass = TypeVar("_Pass", bound=Pass)
_Made = TypeVar("_Made")


def without_failing(
    scorers: Sequence[_Pass], failure: str | None, attempt: Callable[[Sequence[_Pass]], _Made]
) -> tuple[_Made, Sequence[_Pass], str | None]:
    """Return what an attempt makes of passes, or where the challenger fails of the champion's alone; which, and why.

    Parameters
    ----------
    scorers : sequence of Pass
        The champion's first.
    failure : str or None
        Why the challenger that should score does not, as far as that is known.
    attempt : callable
        Raises `ChallengerError` where the challenger fails.
    """
    try:
        return attempt(scorers), scorers, failure
    except ChallengerError as err:
        failure = tell_failure(scorers[1].model_version, err.__cause__ or err)
    return attempt(scorers[:1]), scorers[:1], failure


def tell_failure(version: int, err: BaseException) -> str:
    """Say that the version in Staging did not score beside the champion, and why."""
    return f"version {version}, in Staging, did not score as challenger: {one_line(err)}"


# What was read together and what it became, by role; several may tell of one slice, each of other roles.
Scored: TypeAlias = tuple[NightAccount, dict[str, pa.Table]]
Run: TypeAlias = Callable[[Sequence[_Pass], int | None], Iterator[Scored]]


@dataclass
class Tally:
    """What became of the rows that a role was asked about, so far."""

    account: NightAccount = field(default_factory=NightAccount)
    decided: int = 0


@dataclass(frozen=True)
class Scoring(Generic[_Pass]):
    """Passes over one night, those of one service side by side: for them it is read once.

    Attributes
    ----------
    scorers : tuple of Pass
        One for each role.
    rows_at_once : int or None
        As of ``Night.slices``.
    run : callable
        Scores the slices of a night in several passes of one service.
    tallies : dict of str to Tally
        By role, of the last time that the predictions were gone through.
    """

    scorers: tuple[_Pass, ...]
    rows_at_once: int | None
    run: Run[_Pass]
    tallies: dict[str, Tally] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the predictions of all roles together."""
        spec = self.scorers[0].night.spec
        created = dict.fromkeys(name for scorer in self.scorers for name in scorer.created)
        return pa.schema([*list_tables_of(spec)[0].arrow_schema(), *((name, _INSTANT) for name in created)])

    def pieces(self) -> Iterator[Piece]:
        """Yield the predictions of all roles, each role's in order and in tables of about ``ROWS_AT_ONCE`` rows."""
        self.tallies.clear()
        self.tallies.update((scorer.role, Tally()) for scorer in self.scorers)
        for scorers in self._by_service():
            held: dict[str, list[pa.Table]] = {scorer.role: [] for scorer in scorers}
            for made in self._score(scorers):
                for role, rows in made.items():
                    held[role].append(rows)
                    if sum(each.num_rows for each in held[role]) >= ROWS_AT_ONCE:
                        yield role, _whole(held[role], self.schema)
                        held[role] = []
            yield from ((role, _whole(rows, self.schema)) for role, rows in held.items() if rows)

    def _by_service(self) -> list[list[_Pass]]:
        services = dict.fromkeys(scorer.night.service for scorer in self.scorers)
        return [[scorer for scorer in self.scorers if scorer.night.service == service] for service in services]

    def _score(self, scorers: Sequence[_Pass]) -> Iterator[Mapping[str, pa.Table]]:
        """Yield the predictions of each slice by role, and add to the tallies."""
        try:
            for account, made in self.run(scorers, self.rows_at_once):
                for role, rows in made.items():
                    self.tallies[role].account += account
                    self.tallies[role].decided += count_decided(rows)
                yield made
        except (ChallengerError, UnorderedError):
            raise
        except Exception as err:  # As in `Scorer.score`: what the challenger alone reads.
            if not all(scorer.is_beside for scorer in scorers):
                raise
            raise ChallengerError from err


def score_slice(scorers: Sequence[Scorer], stored: pa.Table) -> Scored:
    """Return the account of a slice, and its predictions by role."""
    read = scorers[0].night.read(stored)
    return read.account, {scorer.role: scorer.score(read) for scorer in scorers}


def in_threads(scorers: Sequence[Scorer], rows_at_once: int | None, *, part: Part | None = None) -> Iterator[Scored]:
    """Score the slices of a night, or of a part, in threads of this process, and yield what comes of them in order."""
    threads = min(os.cpu_count() or 1, _MAX_THREADS)
    slices = scorers[0].night.slices(rows_at_once=rows_at_once, part=part)
    return ahead(partial(score_slice, scorers), slices, threads=threads)


def _whole(pieces: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return pieces as one table in the columns of all roles."""
    return pa.concat_tables([in_columns_of(schema, rows) for rows in pieces])
