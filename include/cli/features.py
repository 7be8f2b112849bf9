"""`mlops features`: build, check and heal partitions of a feature group, take one out, join features to entities.

What belongs here: options and the printed line. What does not: any computing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from include.cli import options
from include.cli.deployment import open_deployment


@click.group()
def features() -> None:
    """Build, check, heal, export and join features."""


@features.command()
@options.group
@options.past_day("--date", "start", required=True, help="Partition; the first of a range with --end.")
@options.past_day("--end", help="Last partition, included.")
def build(group: str, start: str, end: str | None) -> None:
    """Compute partitions from what the group reads, check them and publish them.

    Exit 1 where days break their group's YAML: they are named, and all others of the range are published.
    """
    from include.steps.build_features import build_features

    built = build_features(open_deployment(), group, start=start, end=end or start)
    click.echo(f"{group} {built.start} … {built.end}: {built.rows} rows, version {built.version}")


@features.command()
@options.group
@options.past_day("--date", "partition", required=True, help="Partition.")
@click.option("--out", required=True, type=options.OUT_FILE, help="File to write: .parquet or .csv.")
def export(group: str, partition: str, out: Path) -> None:
    """Write one partition to a file."""
    from include.steps.export_features import export_features

    exported = export_features(open_deployment(), group, partition=partition, path=out)
    click.echo(f"{group} {partition}: {exported.rows} rows in {out}")


@features.command()
@options.group
@options.past_day("--date", "start", required=True, help="Partition; the first of a range with --end.")
@options.past_day("--end", help="Last partition, included.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def check(group: str, start: str, end: str | None, as_json: bool) -> int:
    """Hold published partitions to their group's YAML; exit 1 where they break it."""
    from include.steps.judge_features import check_features

    report = check_features(open_deployment(), group, start=start, end=end or start)
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        click.echo(f"{group} {report.start} … {report.end}: {report.rows} rows, {len(report.checks)} checks")
        for broken in report.failed:
            click.echo(f"failed: {broken}")
    return 0 if report.passed else 1


@features.command()
@click.option("--group", help="Feature group.  [default: all]")
@options.as_json
def probe(group: str | None, as_json: bool) -> int:
    """Try groups' bounds on rows at the edges of what their sources' rules take; exit 1 where such rows break one.

    Nothing is read but YAML and SQL. What is found would stop the group on the day that such rows come; that nothing
    is found says so of a few rows of one entity, and nothing of sums over many.
    """
    from include.adapters.compute.duckdb_compute import DuckDbCompute
    from include.settings import Settings
    from include.specs.groups import load_feature_group, load_feature_groups
    from include.steps.probe_features import probe_features

    options.require_specs()
    compute, as_of = DuckDbCompute(Settings.from_env().memory_limit), datetime.now(UTC)
    groups = load_feature_groups() if group is None else (load_feature_group(group),)
    found = {spec.group: probe_features(spec, compute, as_of=as_of) for spec in groups}
    if as_json:
        click.echo(json.dumps({name: [str(each) for each in broken] for name, broken in found.items()}))
    else:
        for name, broken in found.items():
            click.echo("\n".join(map(str, broken)) or f"{name}: no row that was tried breaks a bound")
    return 1 if any(found.values()) else 0


@features.command()
@options.group
def heal(group: str) -> None:
    """Build anew the partitions that have received late rows or corrections, and bring them online.

    Exit 1 where days break their group's YAML once corrected: what was published of them stays.
    """
    from include.steps.heal_features import heal_features

    healed = heal_features(open_deployment(), group)
    if healed is None:
        click.echo(f"{group}: every partition agrees with its source")
    else:
        click.echo(f"{group} {healed.start} … {healed.end}: {healed.rows} rows computed, version {healed.version}")


@features.command()
@options.model
@options.past_day("--date", "partition", required=True, help="Day on which the vectors were asked for.")
@click.option("--out", type=options.OUT_FILE, help="Write every differing value: .parquet or .csv.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def audit(model_id: str, partition: str, out: Path | None, as_json: bool) -> int:
    """Hold logged online vectors against the offline truth at their time; exit 1 where they differ."""
    from include.adapters.files.writing import writer
    from include.steps.audit_features import audit_features

    write = writer(out) if out is not None else None
    report = audit_features(open_deployment(), model_id, partition=partition)
    if write is not None:
        write(report.differing)
    if as_json:
        click.echo(json.dumps({"model": model_id, "rows": report.rows, "mismatches": report.mismatches}))
    else:
        click.echo(f"{model_id} {partition}: {report.rows} online vectors, {report.differing.num_rows} values differ")
        for row in report.differing.slice(0, 20).to_pylist():
            click.echo(f"{row['request_id']}: {row['feature']} is {row['online']} online, {row['offline']} offline")
    return 1 if report.differing.num_rows else 0


@features.command()
@click.option("--entities", required=True, type=options.PATH, help="Rows to join to: .parquet, .csv, .csv.gz, .tsv …")
@click.option("--features", "stored", required=True, type=options.PATH, help="Feature rows, likewise.")
@click.option("--key", "keys", required=True, multiple=True, help="Join column; may be given again.")
@click.option("--ttl", help="Oldest age that still counts: 31d, 12h, 30m, 45s.  [default: any]")
@click.option(
    "--known-at/--no-known-at", default=True, show_default=True, help="See only rows created by the entity's time."
)
@click.option("--out", required=True, type=options.OUT_FILE, help="File to write: .parquet or .csv.")
def join(entities: Path, stored: Path, keys: tuple[str, ...], ttl: str | None, known_at: bool, out: Path) -> None:
    """Join features to entity rows as they stood at each row's event_timestamp.

    Of a key's feature rows the newest event_timestamp counts; of equal ones the newest created_timestamp. Every
    entity row is written, in its order; nothing found gives nulls.
    """
    from include.steps.join_features import join_features, parse_ttl

    age = parse_ttl(ttl) if ttl is not None else None
    joined = join_features(entities, stored, out, keys=list(dict.fromkeys(keys)), ttl=age, known_at=known_at)
    if joined.read_as_utc:
        click.echo(f"read as UTC, as they name no time zone: {', '.join(joined.read_as_utc)}", err=True)
    click.echo(f"{joined.rows} rows with {len(joined.features)} features in {out}")
