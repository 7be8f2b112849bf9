"""Which engine scores a version's nights: what was measured when it was registered, and the choice that follows.

What belongs here: the choice as a value, and its file. What does not: measuring (``steps.choose_engine``), and the
engines (``model``). Online there is no choice: one row costs ONNX Runtime the least, and the service has no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from include.errors import MlopsError, problems
from include.scoring.model import Engine
from include.scoring.onedal_trees import is_installed

# Float32 leaves added in another order: 1e-7 is usual of probabilities.
DIFFERENCE_MAX = 1e-6
# Engines that are as fast as each other are not chosen between by the noise of one measurement.
FASTER_BY = 1.25


@dataclass(frozen=True)
class Measured:
    """What an engine took for rows of the version, and how far its scores were from the native engine's at most.

    Attributes
    ----------
    us_per_row : float
        Of computing, on one thread.
    difference : float
        Of margins beyond 1, a share of the largest.
    """

    us_per_row: float
    difference: float


@dataclass(frozen=True)
class EngineChoice:
    """What was measured, by engine.

    Examples
    --------
    >>> native = Measured(2.0, 0.0)
    >>> EngineChoice({"native": native, "onedal": Measured(1.0, 1e-7), "onnx": Measured(1.9, 0.0)}).engine
    'onedal'
    >>> EngineChoice({"native": native, "onedal": Measured(1.0, 1e-5), "onnx": Measured(1.9, 0.0)}).engine
    'native'
    """

    measured: Mapping[Engine, Measured]

    @property
    def engine(self) -> Engine:
        """The fastest that has the native engine's scores; that one where no other is clearly faster."""
        native = self.measured["native"].us_per_row
        faster = {
            engine: each.us_per_row
            for engine, each in self.measured.items()
            if each.difference <= DIFFERENCE_MAX and each.us_per_row * FASTER_BY <= native
        }
        return min(faster, key=faster.__getitem__, default="native")

    @property
    def usable(self) -> Engine:
        """The engine that was chosen, or the native one where the chosen one is not installed."""
        return "native" if self.engine == "onedal" and not is_installed() else self.engine

    def to_file(self) -> Mapping[str, object]:
        """Return what the file says: the choice beside what it follows from."""
        return {"engine": self.engine, **asdict(self)}

    @classmethod
    def from_json(cls, text: bytes) -> EngineChoice:
        """Read the file.

        Raises
        ------
        MlopsError
            If `text` is something else.
        """
        try:
            return _CHOICE.validate_json(text)
        except ValidationError as err:
            raise MlopsError(f"these are no engines of a version ({problems(err)}); train the version again") from err

    def to_card(self) -> str:
        """Return what the model card says of it, as Markdown."""
        rows = "\n".join(
            f"| {name} | {each.us_per_row:.2f} | {1e6 / each.us_per_row:,.0f} | {each.difference:.1e} |"
            for name, each in self.measured.items()
        )
        fallback = "" if self.engine == "native" else "; by native where that is not installed"
        return _CARD.format(engine=self.engine, fallback=fallback, rows=rows)


_CHOICE = TypeAdapter(EngineChoice)

_CARD = """
## Engines

Nights are scored by **{engine}**{fallback}; single rows, online, by onnx.

| engine | µs a row, on one thread | rows/s | largest difference from native |
|---|---|---|---|
{rows}
"""
