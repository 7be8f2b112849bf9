"""A version beside naive rules, on the rows that it was tested on.

What belongs here: a rule as an expression over the features of a training set, and how a version and rules are told
side by side. What does not: the metric, its interval and that of a difference, which are the task's.

Run it in the home that has the version: ``python -m benchmarks.naive --model churn --by days_since_last_order``. With
``--before-test`` rows and rules are those that the version was fitted on: what a gate may be chosen from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import duckdb
import pyarrow as pa

from include.adapters.lake.training_sets import read_training_set
from include.cli.deployment import open_deployment
from include.question.matrix import feature_matrix
from include.specs.models import load_model
from include.steps.load_version import load_version
from include.training.split import split_snapshots
from include.training.task_registry import find_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from include.training.comparison import PairedDifference


def score_by(rule: str, examples: pa.Table) -> NDArray[np.float32]:
    """Return what a SQL expression over the columns of examples says of each."""
    with duckdb.connect() as con:
        con.register("examples", examples)
        made = con.sql(f"SELECT CAST(({rule}\n) AS FLOAT) AS score FROM examples").to_arrow_table()
    return made["score"].to_numpy()


@click.command()
@click.option("--model", "model_id", required=True)
@click.option("--version", type=int, help="Default: the newest.")
@click.option("--by", "rules", multiple=True, metavar="SQL", help="A rule: more is a yes, or comes first.")
@click.option("--before-test", is_flag=True, help="On the rows before the test, and of the rules alone.")
def main(model_id: str, version: int | None, rules: tuple[str, ...], before_test: bool) -> None:
    """Print the version's metrics, and each rule's with what the version's is above it."""
    deployment, spec = open_deployment(), load_model(model_id)
    version = version or max(each.version for each in deployment.model_registry.versions(spec.registered_name))
    loaded, task = load_version(deployment, model_id, version), find_task(spec)
    _, examples = read_training_set(deployment.lake, model_id, loaded.manifest.set_id)
    split = split_snapshots(spec, examples["event_timestamp"].to_numpy())
    rows = examples.filter(pa.array(split.train if before_test else split.test))
    start, end = (split.train_start, split.train_end) if before_test else (split.test_start, split.test_end)
    print(f"{rows.num_rows:,} rows, {start} to {end}")
    scores = loaded.model.predict(feature_matrix(rows, loaded.signature.feature_names))
    if not before_test:
        for name, said in task.judge(rows, scores).metrics:
            print(f"  {name}: {said}")
    for rule in rules:
        naive = score_by(rule, rows)
        metric, said = task.judge(rows, naive).metrics[0]
        found = "" if before_test else _above(task.compare(rows, scores, naive))
        print(f"{rule}: {metric} {said}{found}")


def _above(found: PairedDifference) -> str:
    return f"; the version is {found.difference:+.4f} above, 95 % interval [{found.low:+.4f}, {found.high:+.4f}]"


if __name__ == "__main__":
    main()
