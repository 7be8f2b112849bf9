"""`mlops retraining`: hold the retraining of models, let it go again, and say who holds what.

What belongs here: options and what is printed. What does not: the switch.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Any

import click

from include.cli import options
from include.cli.deployment import open_deployment

_reason = click.option("--reason", required=True, callback=options.check_reason, help="Why; kept for good.")


@click.group()
def retraining() -> None:
    """Hold the retraining of models by a switch, which is on record with who and why."""


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    return options.model_or_all(_reason(command))


@retraining.command()
@_named
def stop(model_id: str | None, reason: str) -> None:
    """Let no retrain of a model start, or of any; every decision is a veto that names you and the reason."""
    _throw(model_id, is_stop=True, reason=reason)


@retraining.command()
@_named
def start(model_id: str | None, reason: str) -> None:
    """Let retrains start again; without --model the switch for all is let go, and not those of single models."""
    _throw(model_id, is_stop=False, reason=reason)


def _throw(model_id: str | None, *, is_stop: bool, reason: str) -> None:
    from include.monitoring.retraining_switch import newest_moves
    from include.steps.switch_retraining import switch_retraining

    deployment = open_deployment()
    click.echo(str(switch_retraining(deployment, model_id, is_stop=is_stop, actor=getpass.getuser(), reason=reason)))
    for move in newest_moves(deployment.state.switch_moves()).values():
        if move.is_stop and move.model_id != model_id:
            click.echo(f"still held: {move}", err=True)
    for held in _held_by_specs():
        click.echo(f"still held: {_told(held)}", err=True)


@retraining.command()
@options.as_json
def status(as_json: bool) -> None:
    """Say which models are held, by whom and why, and how the switches were thrown before."""
    from include.monitoring.retraining_switch import newest_moves

    moves = open_deployment().state.switch_moves()
    held = [move for move in newest_moves(moves).values() if move.is_stop]
    if as_json:
        told = [
            {
                "model_id": move.model_id,
                "stopped": move.is_stop,
                "actor": move.actor,
                "reason": move.reason,
                "recorded_at": move.recorded_at.isoformat(),
            }
            for move in moves
        ]
        by_spec = _held_by_specs()
        click.echo(json.dumps({"held": [move.model_id for move in held], "held_by_spec": by_spec, "moves": told}))
        return
    lines = [*(f"{move}; {move.command}" for move in held), *map(_told, _held_by_specs())]
    click.echo("\n".join(f"held: {line}" for line in lines) or "no model is held")
    for move in moves:
        click.echo(f"{move.recorded_at:%Y-%m-%d %H:%M}Z  {move}")


def _held_by_specs() -> list[str]:
    """Return the models that their specs hold, which no switch lets go."""
    from include.specs.deployed import load_specs

    return [spec.model_id for spec in load_specs().models.values() if spec.decision.stop]


def _told(model_id: str) -> str:
    return f"no retrain of {model_id} starts while decision.stop is true in {model_id}.yaml"
