"""Stand-ins for the adapters that steps write to."""

from __future__ import annotations

from pathlib import Path

from include.adapters.lake import LakeAdapter


class FakeState:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, list[tuple[str, int]], int]] = []

    def record_publications(self, target: str, partitions: list[tuple[str, int]], version: int) -> None:
        self.recorded.append((target, list(partitions), version))


class FakeFeatureStore:
    """Remembers what was materialised."""

    def __init__(self, written: int = 0) -> None:
        self.written = written
        self.calls: list[tuple[str, str, str]] = []

    def materialize(self, group: str, *, start: str, end: str) -> int:
        self.calls.append((group, start, end))
        return self.written


class FakeDeployment:
    """A real lake in a folder; the rest remembers."""

    def __init__(self, folder: Path) -> None:
        self.lake = LakeAdapter(folder.as_uri())
        self.state = FakeState()
        self.feature_store = FakeFeatureStore()
