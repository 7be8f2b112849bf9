"""What may be in anybody's list: the items of the newest night, followed as nights are published.

What belongs here: those items. What does not: which of them a person's list has, which the population decides of each.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from include.specs.groups import load_feature_group
from include.specs.models import RankingModelSpec
from include.steps.read_inputs import select_population

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

# A night is published once a day; whether one was is asked this often.
_LOOK_EVERY_S = 30.0


class Candidates:
    """The items of a ranking.

    Parameters
    ----------
    deployment : Deployment
        Its state says which night is the newest, its lake who was asked about then.
    spec : RankingModelSpec

    Attributes
    ----------
    items : tuple of str
        Sorted; replaced as a whole.
    """

    def __init__(self, deployment: Deployment, spec: RankingModelSpec) -> None:
        self.items: tuple[str, ...] = ()
        self._deployment = deployment
        self._spec = spec
        self._night: str | None = None
        self._looked_at = -_LOOK_EVERY_S

    def follow(self) -> None:
        """Read the newest night's items, where there is a newer one than was read.

        Raises
        ------
        MlopsError
            If the state or the lake can't be read; the items stay what they were.
        """
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        table = load_feature_group(self._spec.features.group).table
        night = self._deployment.state.newest_publication(table)
        if night is None or night == self._night:
            return
        rows = self._deployment.lake.read(table, start=night, end=night)
        asked = select_population(self._deployment, self._spec, rows)
        self.items, self._night = tuple(sorted(asked[self._spec.item_key].unique().to_pylist())), night
