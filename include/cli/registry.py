"""`mlops registry`: what is where, what was when, and the moves a person makes.

What belongs here: printing the ledger. What does not: reading it (`views.versions`), and the rules of moving.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.errors import RefusedError

if TYPE_CHECKING:
    from include.governance.approval import Question
    from include.governance.lifecycle import LedgerMove


@click.group()
def registry() -> None:
    """Read the promotion ledger and move versions."""


@registry.command()
@options.past_model
@options.as_json
def status(model_id: str, as_json: bool) -> None:
    """Say which version stands at which stage, and of a retrain that came to no version."""
    from include.views.versions import read_standing

    standing = read_standing(open_deployment(), model_id)
    stages = {str(version.version): version.stage.value for version in standing.versions}
    if as_json:
        untrained = str(standing.untrained) if standing.untrained else None
        told = {"versions": stages, "aliases": standing.aliases, "untrained": untrained}
        click.echo(json.dumps({"model": model_id, **told}))
        return
    for version, stage in stages.items():
        asked = _asked(model_id, version, standing.question) if stage == "Staging" else ""
        click.echo(f"version {version:>4}  {stage}{asked}")
    if not stages:
        click.echo(f"{model_id} has no version yet")
    if standing.untrained is not None:
        click.echo(standing.untrained)


def _asked(model_id: str, version: str, question: Question | None) -> str:
    """Return where the version that waits is asked about; a person sees there whether somebody has answered."""
    if question is None:
        return (
            f", nobody was asked: ask_about_waiting does so tonight, promote_model__{model_id} now; "
            f"mlops registry promote --model {model_id} --version {version} answers in your name"
        )
    until = f"{question.expires_at:%Y-%m-%d %H:%M}Z"
    return f", asked about in Airflow: {question.by.dag_id}, run {question.by.run_id}, until {until}"


@registry.command()
@options.past_model
@options.day("--at", "partition", help="Only what governs this partition: a move does from the day after its own on.")
@options.as_json
def ledger(model_id: str, partition: str | None, as_json: bool) -> None:
    """Print every move, or with --at what was in Production then, trained on what, approved by whom."""
    from include.views.versions import read_ledger

    found = read_ledger(open_deployment(), model_id, at=partition)
    rows = [_row(move) for move in found.moves]
    if as_json:
        click.echo(json.dumps({"model": model_id, "at": partition, "production": found.production, "moves": rows}))
        return
    if partition is not None:
        holder = "nothing" if found.production is None else f"version {found.production}"
        click.echo(f"in Production at {partition}: {holder}")
    elif not rows:
        click.echo(f"{model_id} has no version yet")
    for row in rows:
        _print_move(row)


def _print_move(row: dict[str, Any]) -> None:
    move = f"version {row['version']}  {row['from']} → {row['to']}"
    click.echo(f"{row['partition']}  {move}  by {row['actor']} at {_minute(row['recorded_at'])}: {row['reason']}")
    for what, value in (*_trained_on(row), *_asked_for(row)):
        click.echo(f"            {what}: {value}")


def _trained_on(row: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield what a version was trained on, beside the move that brought it into Staging."""
    if row["to"] == "Staging":
        yield "trained as of", row["trained"].get("as_of")
        for what, value in row["trained"].get("trained_on", {}).items():
            yield what.replace("_", " "), value


def _asked_for(row: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield who asked for the training that a move ended, and Airflow's record of the answer that it rests on."""
    if row["requested_by"] is not None:
        yield "training asked for by", row["requested_by"]
    if (record := row["approval"]) is not None:
        answer = f"{record['option']} by {record['user_name']} at {_minute(record['answered_at'])}"
        yield "answer on record", f"{answer}, {record['dag_id']} {record['run_id']}"


def _minute(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%d %H:%M}Z"


@registry.command()
@options.past_model_or_all
@options.as_json
def verify(model_id: str | None, as_json: bool) -> int:
    """Look for rows that are not as they were written, and for what of MLflow and the artifacts disagrees with them.

    Of MODEL, or of every model. An alias or a stage that was moved in MLflow is put right. Exit 1 where anything was
    found; what can't be told, or is not guarded, is a note on standard error.
    """
    from include.steps.verify_registry import verify_registry

    found = verify_registry(open_deployment(), model_id)
    if as_json:
        told = {"findings": [*map(asdict, found.findings)], "notes": [*map(asdict, found.notes)]}
        click.echo(json.dumps({"ok": not found.findings, "models": found.models, "rows": found.rows, **told}))
        return RefusedError.exit_code if found.findings else 0
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for finding in found.findings:
        click.echo(finding)
    if not found.findings:
        models = ", ".join(found.models) or "no model"
        click.echo(f"{found.rows} rows of {models} are whole; MLflow and the artifacts agree")
    return RefusedError.exit_code if found.findings else 0


@registry.command()
@options.model
@options.version("--version", required=True, help="The version that waits in Staging.")
@options.reason
def promote(model_id: str, version: int, reason: str) -> None:
    """Move a version from Staging to Production in your name; one that is there already stays."""
    from include.governance.lifecycle import into_production
    from include.steps.load_version import require_known
    from include.steps.move_model import promote_version

    deployment, actor = open_deployment(), getpass.getuser()
    require_known(deployment, model_id, version)
    before = into_production(deployment.state.ledger(model_id))
    promote_version(deployment, model_id, version=version, actor=actor, reason=reason)
    there = into_production(deployment.state.ledger(model_id))
    # An approval in Airflow may have moved it just before.
    is_own = there is not None and there != before and (there.actor, there.reason) == (actor, reason)
    if there is None or there.version != version or is_own:
        click.echo(f"{model_id} version {version} is in Production")
        return
    by = f"{there.actor} at {_minute(_row(there)['recorded_at'])}"
    click.echo(
        f"{model_id} version {version} was in Production already, by {by}, for the nights "
        f"after {there.partition}: {there.reason}; nothing was moved, and this reason is not kept"
    )


@registry.command()
@options.model
@options.version("--version", required=True, help="The version that waits in Staging.")
@options.reason
def reject(model_id: str, version: int, reason: str) -> None:
    """Archive a version that waits in Staging; Production stays."""
    from include.steps.load_version import require_known
    from include.steps.move_model import reject_version

    deployment = open_deployment()
    require_known(deployment, model_id, version)
    reject_version(deployment, model_id, version=version, actor=getpass.getuser(), reason=reason)
    click.echo(f"{model_id} version {version} is archived")


@registry.command()
@options.model
@options.version("--from", "leaving", required=True, help="The version to leave; repeating is harmless.")
@options.reason
def rollback(model_id: str, leaving: int, reason: str) -> None:
    """Put the version back that was in Production before."""
    from include.steps.load_version import require_known
    from include.steps.move_model import roll_back

    deployment = open_deployment()
    require_known(deployment, model_id, leaving)
    who = {"actor": getpass.getuser(), "reason": reason}
    version = roll_back(deployment, model_id, leaving=leaving, **who)
    click.echo(f"{model_id} version {version} is in Production")


def _row(move: LedgerMove) -> dict[str, Any]:
    from include.governance import approval, evidence

    trained = evidence.to_json(move.evidence)
    gates = trained.pop("gates", ())
    return {
        "seq": move.seq,
        "version": move.version,
        "from": move.from_stage.value,
        "to": move.to_stage.value,
        "partition": move.partition,
        "recorded_at": move.recorded_at.isoformat() if move.recorded_at else None,
        "actor": move.actor,
        "reason": move.reason,
        "requested_by": move.requested_by,
        "approval": approval.to_json(move.approval),
        "trained": trained,
        "gates": gates,
    }
