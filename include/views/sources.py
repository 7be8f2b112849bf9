"""What the command line shows of sources: which there are, what each is, and what a file would become.

What belongs here: plain values and their text. What does not: what may be in a spec, and how a file is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.specs.deployed import load_specs
from include.specs.sources import SourceSpec, load_source, source_folders
from include.specs.standing import Specs
from include.specs.yaml_files import read_spec, spec_files, yaml_text
from include.steps.check_source import FileCheck
from include.steps.propose_source import Proposal

_SHOWN = 160


@dataclass(frozen=True)
class SourceLine:
    """One source, in short."""

    source: str
    owner: str
    key: tuple[str, ...]
    event_time: str
    time_zone: str
    formats: tuple[str, ...]
    dag: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class SourceView:
    """One source's spec as it holds here.

    Attributes
    ----------
    line : SourceLine
    tables : tuple of str
        Of its rows, of what was set aside, of what came.
    values : mapping of str to object
        As in YAML.
    files : tuple of Path
        What it is made of, the overlay's last.
    """

    line: SourceLine
    tables: tuple[str, ...]
    values: Mapping[str, Any]
    files: tuple[Path, ...]


def list_sources() -> list[SourceLine]:
    """Return the sources that stand, by name."""
    specs = load_specs()
    return [_line(spec, specs) for spec in specs.sources.values()]


def view_source(name: str) -> SourceView:
    """Return a source as it holds here, and where it comes from.

    Raises
    ------
    SpecError
        If there is no such source, or a value isn't allowed.
    """
    spec = load_source(name)
    values, _ = read_spec(source_folders(), name, kind="source", growing=("formats",))
    tables = (spec.raw.name, spec.quarantine.name, spec.deliveries.name)
    return SourceView(
        _line(spec, load_specs()), tables, values, tuple(spec_files(source_folders(), name, kind="source"))
    )


def write_source(view: SourceView) -> str:
    """Return a source as YAML, with what follows from it above."""
    line = view.line
    return "\n".join(
        [
            *(f"# {path}" for path in view.files),
            f"# its nights are taken by {line.dag}; tables: {', '.join(view.tables)}",
            f"# read by {', '.join(line.groups) or 'no feature group'}; formats: {', '.join(line.formats)}",
            yaml_text(view.values).rstrip(),
        ]
    )


def tell_check(check: FileCheck, spec: SourceSpec) -> str:
    """Return what an import of a file would say, with the first rows of each rule."""
    lines = [
        f"{check.rows_in:>10,} rows in; times without a zone read in {check.time_zone}",
        f"{check.rows_taken:>10,} would be taken, and then meet what the table has",
        f"{check.rows_quarantined:>10,} would be quarantined",
    ]
    for rule, count in check.rules.items():
        lines.append(f"{count:>10,}   {rule}: {spec.reasons[rule]}")
        lines += [f"{'':>12}row {row.row_number:,}: {row.row[:_SHOWN]}" for row in check.first_rows.get(rule, ())]
    days = f"{check.partitions:,} days, {check.first} to {check.last}" if check.partitions else "no day"
    if check.arrived_until != check.last_night:
        days += f"; they would have arrived until {check.arrived_until}"
    return "\n".join([*lines, f"{days}; nothing was written"])


def tell_guess(proposal: Proposal) -> str:
    """Return how a file seems to be written, and what its columns seem to be."""
    found = proposal.guess
    dialect = found.dialect
    marks = f"decimal {dialect.decimal!r}" + (f", thousands {dialect.thousands!r}" if dialect.thousands else "")
    how = f"delimiter {dialect.delimiter!r}, " if dialect.delimiter else ""
    patterns = f", times as {', '.join(dialect.time_patterns)}" if dialect.time_patterns else ""
    lines = [f"seems to be written with {how}encoding {dialect.encoding}, {marks}{patterns}"]
    for column in found.columns:
        nulls = f", {column.null_share:.0%} without a value" if column.null_share else ""
        lines.append(f"  {column.name}: {column.family or 'nothing'}{nulls}; e.g. {', '.join(column.sample)[:60]}")
    return "\n".join([*lines, *proposal.to_read])


def _line(spec: SourceSpec, specs: Specs) -> SourceLine:
    groups = tuple(name for name, group in specs.groups.items() if spec.source in group.sources)
    return SourceLine(
        spec.source,
        spec.owner,
        spec.key,
        spec.event_time,
        spec.time_zone,
        spec.format_names,
        spec.ingest_dag_id,
        groups,
    )
