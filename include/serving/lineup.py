"""Which versions answer for each model, as the ledger says, and the watch that follows it.

What belongs here: from the ledger's moves to versions in memory, swapped as one. What does not: a version's bytes
(``version_files``), and which of two answers an entity (``routing``).

A change is loaded and warmed up beside what answers, and takes its place in one assignment: a request has the versions
that it began with. What can't be loaded changes nothing, and neither does a ledger that can't be read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from include.errors import MlopsError
from include.governance.lifecycle import Stage, holder
from include.serving.served_version import Role, ServedVersion
from include.serving.version_files import VersionFiles
from include.specs.models import ModelSpec

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


class Prepared(Protocol):
    """A version and whatever it takes to ask it."""

    @property
    def version(self) -> ServedVersion:
        """The version."""


_Prepared = TypeVar("_Prepared", bound=Prepared)


@dataclass(frozen=True)
class Lineup(Generic[_Prepared]):
    """The versions of one model, each ready to be asked.

    Attributes
    ----------
    champion : Prepared
        In Production.
    challenger : Prepared or None
        In Staging, where the spec lets it answer or look on.
    """

    champion: _Prepared
    challenger: _Prepared | None = None

    @property
    def members(self) -> list[_Prepared]:
        """Both, or the one that there is."""
        return [self.champion] if self.challenger is None else [self.champion, self.challenger]


@dataclass(frozen=True)
class LedgerState:
    """What a model's ledger said at its last reading.

    Attributes
    ----------
    production, staging : int or None
        Versions.
    problem : str or None
        Why what it says is not what is served.
    """

    production: int | None = None
    staging: int | None = None
    problem: str | None = None


@dataclass
class Roster(Generic[_Prepared]):
    """The lineup of every model, kept as the ledger says.

    Parameters
    ----------
    deployment : Deployment
        Its state is read.
    specs : sequence of ModelSpec
        The models that are served.
    prepare : callable
        Makes a version ready to be asked.
    renew : callable
        Takes one that answers, at each reading of the ledger: what it knows of the lake may be of a night before.
    retire : callable
        Takes one that answers no more.

    Attributes
    ----------
    lineups : mapping of str to Lineup
        By model; one that nothing is in Production of has none.
    said : mapping of str to LedgerState
    read_at : datetime or None
        When the ledger was last read.
    """

    deployment: Deployment
    specs: Sequence[ModelSpec]
    prepare: Callable[[ServedVersion], _Prepared]
    renew: Callable[[_Prepared], None]
    retire: Callable[[_Prepared], None]
    lineups: Mapping[str, Lineup[_Prepared]] = field(default_factory=dict)
    said: Mapping[str, LedgerState] = field(default_factory=dict)
    read_at: datetime | None = None
    _files: VersionFiles = field(init=False)
    _end: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self._files = VersionFiles(self.deployment)

    def refresh(self) -> None:
        """Read the ledger of each model, and serve what it says.

        Raises
        ------
        MlopsError
            If the ledger can't be read. What was served is served on.
        """
        for spec in self.specs:
            self._follow(spec)
        self.read_at = datetime.now(UTC)

    def keep_fresh(self, every_s: float) -> threading.Thread:
        """Start a thread that refreshes until `stop`."""

        def watch() -> None:
            told = ""
            while not self._end.wait(every_s):
                try:
                    self.refresh()
                    told = ""
                except Exception as err:
                    # In a thread nobody would hear of it, and nothing would follow the ledger any more.
                    if str(err) != told:
                        log.warning("serving keeps what it serves: %s", err, exc_info=not isinstance(err, MlopsError))
                    told = str(err)

        thread = threading.Thread(target=watch, name="roster", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End the thread that refreshes."""
        self._end.set()

    def _follow(self, spec: ModelSpec) -> None:
        moves = self.deployment.state.ledger(spec.model_id)
        production, staging = holder(moves, Stage.PRODUCTION), holder(moves, Stage.STAGING)
        if not (spec.serving.shadow or spec.serving.canary_share > 0):
            staging = None
        problems: list[str] = []
        present = self.lineups.get(spec.model_id)
        lineup = self._lineup(spec, present, production, staging, problems)
        problem = "; ".join(problems) or None
        if problem is not None and self._problem(spec) != problem:
            log.error("serving model=%s: %s", spec.model_id, problem)
        self.said = {**self.said, spec.model_id: LedgerState(production, staging, problem)}
        if lineup is not present:
            self._swap(spec, lineup)

    def _lineup(
        self,
        spec: ModelSpec,
        present: Lineup[_Prepared] | None,
        production: int | None,
        staging: int | None,
        problems: list[str],
    ) -> Lineup[_Prepared] | None:
        if production is None:
            return None
        champion = self._version(spec, production, "champion", present, problems)
        if champion is None:
            return present
        # One that can't be loaded is told of, and takes nothing from the champion.
        challenger = None if staging is None else self._version(spec, staging, "challenger", present, problems)
        if present is not None and present.champion is champion and present.challenger is challenger:
            return present
        return Lineup(champion, challenger)

    def _version(
        self, spec: ModelSpec, version: int, role: Role, present: Lineup[_Prepared] | None, problems: list[str]
    ) -> _Prepared | None:
        """Return a version ready to be asked, made so where it is not; None where it can't be, and why not."""
        members = [] if present is None else present.members
        ready = [held for held in members if (held.version.version, held.version.role) == (version, role)]
        try:
            prepared = ready[0] if ready else self._load(spec, version, role)
            self.renew(prepared)
            return prepared
        except MlopsError as err:
            problems.append(str(err))
        except Exception as err:
            # One model's fault must not keep the others from answering, whatever it is.
            problems.append(f"something broke that should not: {type(err).__name__}: {err}")
            if problems[-1] not in str(self._problem(spec)):
                log.exception("serving model=%s version=%d broke while it was made ready", spec.model_id, version)
        return ready[0] if ready else None

    def _load(self, spec: ModelSpec, version: int, role: Role) -> _Prepared:
        loaded = self._files.load(spec, version, role)
        loaded.warm_up()
        return self.prepare(loaded)

    def _swap(self, spec: ModelSpec, lineup: Lineup[_Prepared] | None) -> None:
        before, staying = ([] if each is None else each.members for each in (self.lineups.get(spec.model_id), lineup))
        others = {model_id: kept for model_id, kept in self.lineups.items() if model_id != spec.model_id}
        self.lineups = others if lineup is None else {**others, spec.model_id: lineup}
        for held in before:
            if all(held is not stays for stays in staying):
                self.retire(held)
        told = {held.version.role: held.version.version for held in staying}
        log.info(
            "serving model=%s champion=%s challenger=%s", spec.model_id, told.get("champion"), told.get("challenger")
        )

    def _problem(self, spec: ModelSpec) -> str | None:
        said = self.said.get(spec.model_id)
        return None if said is None else said.problem
