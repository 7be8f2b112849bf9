"""Stand-ins for the adapters that steps write to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.state.registrations import Registration
from include.governance.chain import Row
from include.governance.lifecycle import LedgerMove


class FakeState:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, list[tuple[str, int]], int]] = []
        self._rows: dict[str, dict[str, int]] = {}
        self._sources: dict[str, dict[str, dict[str, int] | None]] = {}
        self._versions: dict[str, dict[str, int]] = {}
        self._registrations: dict[tuple[str, int], Registration] = {}

    def record_publications(
        self,
        target: str,
        partitions: Sequence[tuple[str, int]],
        version: int,
        *,
        source_versions: Mapping[str, int] | None = None,
    ) -> None:
        self.recorded.append((target, list(partitions), version))
        self._rows.setdefault(target, {}).update(partitions)
        self._sources.setdefault(target, {}).update(
            (key, None if source_versions is None else dict(source_versions)) for key, _ in partitions
        )
        self._versions.setdefault(target, {}).update((key, version) for key, _ in partitions)

    def forget(self, target: str, partition: str) -> None:
        del self._rows[target][partition]

    def publications(self, target: str) -> dict[str, int]:
        return dict(sorted(self._rows.get(target, {}).items()))

    def source_versions(self, target: str) -> dict[str, dict[str, int] | None]:
        return dict(sorted(self._sources.get(target, {}).items()))

    def table_versions(self, target: str) -> dict[str, int]:
        return dict(sorted(self._versions.get(target, {}).items()))

    @contextmanager
    def alone(self, work: str, *, not_during: str | None = None) -> Iterator[None]:
        yield

    def confirm_sources(
        self, target: str, agreeing: Mapping[str, Mapping[str, int]], source_versions: Mapping[str, int]
    ) -> None:
        known = self._sources.setdefault(target, {})
        same = {key: built_from for key, built_from in agreeing.items() if known.get(key) == built_from}
        known.update({key: {**built_from, **source_versions} for key, built_from in same.items()})

    def record_registration(self, model_id: str, version: int, *, run_id: str, files: Mapping[str, str]) -> None:
        self._registrations.setdefault((model_id, version), Registration(model_id, 1, version, run_id, files))

    def registration(self, model_id: str, version: int) -> Registration | None:
        return self._registrations.get((model_id, version))

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        return ()

    def histories(self, model_id: str) -> dict[str, list[Row]]:
        return {}


class FakeFeatureStore:
    """Remembers what was materialised."""

    def __init__(self, written: int = 0) -> None:
        self.written = written
        self.calls: list[tuple[str, str, str]] = []

    def materialize(self, group: str, *, start: str, end: str) -> int:
        self.calls.append((group, start, end))
        return self.written


class FakeDeployment:
    """A real lake in a folder and a real engine; the rest remembers."""

    def __init__(self, folder: Path) -> None:
        self.lake = LakeAdapter(folder.as_uri())
        self.compute = DuckDbCompute()
        self.state = FakeState()
        self.feature_store = FakeFeatureStore()
