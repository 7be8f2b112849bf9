"""`mlops drift`: compare two files of rows.

What belongs here: options, the printed table, and the exit code. What does not: any measuring.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.cli.written import write_text
from include.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.steps.report_drift import ColumnReport, DriftReport


@click.group()
def drift() -> None:
    """Measure how far rows have moved from a reference."""


@drift.command()
@click.option("--reference", required=True, type=options.PATH, help="Parquet, CSV or TSV file to compare with.")
@click.option("--current", required=True, type=options.PATH, help="Parquet or CSV file to judge.")
@options.column_names("--columns", help="Columns A,B,… to judge.  [default: all numbers and text in both files]")
@click.option(
    "--min-rows", type=click.IntRange(min=1), default=50, show_default=True, help="Fewer on a side give no verdict."
)
@click.option("--html", type=options.OUT_FILE, help="Also write the report as one page.")
@options.as_json
@click.option(
    "--fail-on",
    type=click.Choice(["significant"]),
    help="Exit with 1 when a column's shift is significant, or its schema, or no column could be judged.",
)
def report(
    reference: Path,
    current: Path,
    columns: list[str] | None,
    min_rows: int,
    *,
    html: Path | None,
    as_json: bool,
    fail_on: str | None,
) -> None:
    """Report PSI, KS, Wasserstein or chi-square, and a verdict, for each column.

    A verdict is stable, moderate (PSI from 0.1), significant (PSI above 0.2), insufficient, or schema: the column is
    gone, of another type, or holds none of the values it had. The share of rows beyond the reference's range is judged
    on the same scale. A shift must also be less likely than 1 % by chance, over all columns together.
    """
    from include.steps.report_drift import report_drift

    if html is not None and html.resolve() in (reference.resolve(), current.resolve()):
        raise UsageError(f"--html {html} is what the report is of; name another file")
    measured = report_drift(reference, current, columns=columns, min_rows=min_rows)
    if measured.left_out:
        click.echo(
            f"left out (not in the reference, or neither numbers nor text): {', '.join(measured.left_out)}", err=True
        )
    if html is not None:
        from include.views.drift_page import render_drift

        write_text(html, render_drift(measured, reference=reference.name, current=current.name))
    click.echo(json.dumps(measured.to_json(), indent=2, allow_nan=False) if as_json else _table(measured))
    if fail_on is not None and (found := list(_failures(measured))):
        raise RefusedError("; ".join(found))


def _failures(measured: DriftReport) -> Iterator[str]:
    for verdict, said in (("schema", "another schema"), ("significant", "significant shift")):
        moved = [column.drift.feature for column in measured.columns if column.drift.verdict == verdict]
        if moved:
            yield f"{said} in {len(moved)} of {len(measured.columns)} columns: {', '.join(moved)}"
    first = measured.columns[0].drift
    if all(column.drift.verdict == "insufficient" for column in measured.columns):
        yield f"no column could be judged, of {measured.current_rows} rows: {first.feature}: {first.reason}"


def _table(measured: DriftReport) -> str:
    width = max(len("column"), *(len(column.drift.feature) for column in measured.columns))
    lines = [
        f"{measured.current_rows} rows against {measured.reference_rows} of the reference",
        f"{'column':<{width}}  {'verdict':<12} {'psi':>8} {'chance':>8} {'p':>8} "
        f"{'ks':>8} {'shift/sd':>9} {'outside':>8} {'missing':>8}",
        *(_line(column, width) for column in measured.columns),
    ]
    return "\n".join(lines)


def _line(column: ColumnReport, width: int) -> str:
    drift, numeric = column.drift, column.numeric
    cells = (
        f"{_cell(drift.psi, '.4f'):>8} {_cell(drift.psi_expected, '.4f'):>8} {_cell(drift.psi_pvalue, '.2g'):>8} "
        f"{_cell(numeric.ks.statistic if numeric else None, '.4f'):>8} "
        f"{_cell(numeric.wasserstein_normalised if numeric else None, '.4f'):>9} "
        f"{_cell(drift.outside_range, '.1%'):>8} {_cell(drift.missing_current, '.1%'):>8}"
    )
    why = f"  {drift.reason}" if drift.reason else ""
    return f"{drift.feature:<{width}}  {drift.verdict:<12} {cells}{why}"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
