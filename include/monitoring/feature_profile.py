"""What is frozen of a feature at training, for later windows to be held against.

What belongs here: the values, and what they mean. What does not: making them (``reference_profile``), and counting over
them (``binning``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from include.monitoring.columns import Kind, Precision
from include.monitoring.design_effect import INDEPENDENT, DesignEffect
from include.monitoring.outside import KnownValues, Recurrence
from include.monitoring.quantile_sketch import QuantileSketch


@dataclass(frozen=True)
class FeatureProfile:
    """One feature's bins, and how the reference fills them.

    Attributes
    ----------
    name : str
    kind : {"numeric", "categorical"}
    edges : tuple of float
        Inner edges, ascending; the outer bins are open to infinity. Bin i holds the values above
        edge i - 1, up to and including edge i. An edge that stands twice encloses the bin of that
        one value.
    categories : tuple of str
        Sorted; one bin each, followed by the bin of unseen categories.
    counts : tuple of int
        Reference rows per bin: ``len(edges) + 1`` or ``len(categories) + 1`` of them.
    missing : int
        Reference rows without a value.
    minimum, maximum : float or None
        Finite range of the reference; None without finite values.
    unjudged : str or None
        Why no bins could be made.
    precision : {"float32", "float64"}
        In which the reference's numbers are kept; windows are rounded to it before they are counted.
    narrow_counts : tuple of int
        The reference counted in float32, for a window that was kept so, where that differs.
    numbers : QuantileSketch
        What stands for the reference's numbers.
    known : KnownValues or None
        What tells the values of a text column with too many for bins.
    effect : DesignEffect
        Of the entities that recur in the reference.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    minimum: float | None
    maximum: float | None
    unjudged: str | None = None
    precision: Precision = "float64"
    narrow_counts: tuple[int, ...] = ()
    numbers: QuantileSketch = field(default_factory=QuantileSketch)
    known: KnownValues | None = None
    effect: DesignEffect = INDEPENDENT

    @property
    def rows(self) -> int:
        """Reference rows, with and without a value."""
        return sum(self.counts) + self.missing

    @property
    def recurrence(self) -> Recurrence:
        """How often the values of a text column come again."""
        return self.known.recurrence if self.known is not None else Recurrence.of(self.counts)

    @property
    def rows_outside(self) -> int:
        """Reference rows that its own range leaves out: the infinite ones."""
        return self.numbers.infinite

    def counted_in(self, precision: Precision) -> tuple[int, ...]:
        """Return the reference's rows per bin, counted in a precision."""
        return self.narrow_counts if precision == "float32" and self.narrow_counts else self.counts


@dataclass(frozen=True)
class ReferenceProfile:
    """The bins of every feature of a model, in order; it travels with the model."""

    features: tuple[FeatureProfile, ...]
