"""Draw figures as PNG.

What belongs here: the drawing, and the figure that every task has. What does not: those of one task, which are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from include.training.task import Figure


def draw_plots(figures: Mapping[str, Figure], importance: Mapping[str, float]) -> dict[str, bytes]:
    """Draw a task's figures, and each feature's share.

    Parameters
    ----------
    figures : mapping of str to callable
        By file name.
    importance : mapping of str to float
        Each feature's share.

    Returns
    -------
    dict of str to bytes
        PNG by file name. Equal input gives equal bytes.
    """
    drawn = {**figures, "importance.png": lambda axes: _importance(axes, importance)}
    return {name: _png(draw) for name, draw in drawn.items()}


def _png(draw: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _importance(axes: Any, importance: Mapping[str, float]) -> None:
    ranked = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ranked], [share for _, share in ranked])
    axes.set(xlabel="share of total gain", title="Feature importance")
