"""The loop's steps from the command line, one command each.

What belongs here: options and what is printed. What does not: the steps.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.errors import MlopsError, RefusedError

_date = options.past_day("--date", "partition", required=True, help="The partition.")
_as_of = options.past_day("--as-of", required=True, help="Train as of this partition.")


@click.group("training-set")
def training_set() -> None:
    """Training sets: labelled examples, cut by both times."""


@training_set.command("build")
@options.model
@_as_of
def build(model_id: str, as_of: str) -> None:
    """Build the training set of a model as of a day."""
    from include.steps.build_training_set import build_training_set

    click.echo(json.dumps(asdict(build_training_set(open_deployment(), model_id, as_of=as_of))))


@click.command()
@options.model
@_as_of
def train(model_id: str, as_of: str) -> None:
    """Train and register a version as of a day, and run its gates; recorded as a decision, as in the DAG."""
    import getpass

    from include.steps.build_training_set import build_training_set
    from include.steps.claim_training import TrainingRequest, claim_training
    from include.steps.find_untrained import record_failure
    from include.steps.move_model import stage_or_refuse
    from include.steps.train_model import train_model

    deployment = open_deployment()
    person = getpass.getuser()
    request = TrainingRequest(
        f"mlops train {person} {as_of}", f"asked for on the command line by {person}", by_hand=True, requester=person
    )
    claim_training(deployment, model_id, partition=as_of, request=request)
    try:
        candidate = train_model(deployment, build_training_set(deployment, model_id, as_of=as_of))
    except MlopsError as err:
        record_failure(deployment, model_id, run_id=request.run_id, why=f"train: {err}")
        raise
    click.echo(json.dumps(asdict(candidate)))
    try:
        stage_or_refuse(deployment, candidate, requested_by=person)
    except RefusedError as no:
        raise RefusedError(f"{no}; {_advice(model_id)}") from no


def _advice(model_id: str) -> str:
    from include.specs.deployed import tell_gates
    from include.specs.models import load_model

    return (
        f"{tell_gates(load_model(model_id))}; where other values are right for such data, write them into "
        f"{model_id}.yaml of the folder that MLOPS_SPECS names and train again: the same version is held against them"
    )


@click.command()
@options.model
@_date
@options.version("--shadow", help="A version that scores beside the one in Production.")
@click.option("--json", "as_json", is_flag=True, help="Print what made the scores of each role, as one JSON object.")
def score(model_id: str, partition: str, shadow: int | None, as_json: bool) -> None:
    """Score one partition with the version that was in Production before it."""
    from include.adapters.lake.scoring_manifests import read_scoring_manifests
    from include.steps.score_batch import score_batch

    deployment = open_deployment()
    scored = score_batch(deployment, model_id, partition=partition, shadow=shadow)
    if as_json:
        told = {each.role: asdict(each) for each in read_scoring_manifests(deployment.lake, model_id, partition)}
        click.echo(json.dumps(told))
    else:
        click.echo(json.dumps(asdict(scored)))


@click.command()
@options.model
@_date
def monitor(model_id: str, partition: str) -> None:
    """Measure a scored partition and print what was found; nothing is decided."""
    from include.steps.monitor_model import measure_night

    click.echo(json.dumps(measure_night(open_deployment(), model_id, partition=partition)))
