"""Two files compared, as a page that opens without a network.

What belongs here: the order of columns and how a number looks. What does not: measuring (``steps.report_drift``).
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.steps.report_drift import PSI_MODERATE, PSI_SIGNIFICANT, ColumnReport, DriftReport

_WORST = ("schema", "significant", "moderate", "stable", "insufficient")


def render_drift(report: DriftReport, *, reference: str, current: str) -> str:
    """Return the page of a report.

    Parameters
    ----------
    report : DriftReport
    reference, current : str
        What the files are called.
    """
    # Always on: by its name jinja2 would not take the file for HTML.
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pages.filters |= {"number": _number, "share": _share}
    return pages.get_template("drift_page.html.j2").render(
        report=report,
        columns=sorted(report.columns, key=_rank),
        reference=reference,
        current=current,
        moderate=PSI_MODERATE,
        significant=PSI_SIGNIFICANT,
    )


def _rank(column: ColumnReport) -> tuple[int, float]:
    return _WORST.index(column.drift.verdict), -(column.drift.psi or 0.0)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}g}"  # noqa: RUF001 - what is not known


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"  # noqa: RUF001 - what is not known
