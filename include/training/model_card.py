"""The model card: what a person should know of a version before trusting it.

What belongs here: its text. What does not: any number that isn't in the other files.
"""

from __future__ import annotations

import numpy as np

from include.specs.models import ModelSpec
from include.training.manifest import TrainingSetManifest
from include.training.split import TimeSplit
from include.training.task import Judged

_DAY = "datetime64[D]"

_CARD = """# {registered_name}, trained as of {as_of}

{description}

| | |
|---|---|
| Owner | {owner} |
| Score | {score} |
| Population | `{population}` |
| Features | `{feature_service}`: {features} |
| Training set | `{set_id}`, {rows:,} examples ({positives:,} positive), {unlabelled:,} more without a known label |
| Fitted on | snapshots {train_start} to {train_end}, {train_rows:,} examples |
| Tested on | snapshots {test_start} to {test_end}, {test_rows:,} examples of {entities:,} entities |
| Between them | {purged:,} examples dropped: their labels look into the test window |
| Code | commit `{code_commit}`{changed}, lock `{lock:.12}`, spec `{spec:.12}` |

## Metrics, on the test window

| metric | value |
|---|---|
{metrics}

## Limits

- The interval tells of other customers of the same weeks, not of other weeks.
- The newest examples that it was fitted on are {age_days} days older than the day it was trained.
- Nobody outside the population is scored. A score is no cause: it does not say what would change the outcome.
- It has seen {weeks:.0f} weeks of snapshots; a season that they do not hold is new to it.
"""


def write_model_card(spec: ModelSpec, manifest: TrainingSetManifest, split: TimeSplit, judged: Judged) -> str:
    """Return a version's card as Markdown."""
    values = {
        **_told_of_examples(manifest, split),
        "score": judged.score,
        "metrics": "\n".join(f"| {name} | {value} |" for name, value in judged.metrics),
        "test_rows": judged.evaluation.rows,
        "entities": judged.evaluation.entities,
        "registered_name": spec.registered_name,
        "description": spec.description,
        "owner": spec.owner,
        "population": spec.population,
    }
    return _CARD.format(**values)


def _told_of_examples(manifest: TrainingSetManifest, split: TimeSplit) -> dict[str, object]:
    first, last = split.train_start.astype(_DAY), split.train_end.astype(_DAY)
    as_of_end = np.datetime64(manifest.as_of, "D") + np.timedelta64(1, "D")
    return {
        "as_of": manifest.as_of,
        "feature_service": manifest.feature_service,
        "features": ", ".join(f"`{name}`" for name in manifest.feature_names),
        "set_id": manifest.set_id,
        "rows": manifest.rows,
        "positives": manifest.positives,
        "unlabelled": manifest.rows_without_label,
        "train_start": first,
        "train_end": last,
        "train_rows": int(split.train.sum()),
        "test_start": split.test_start.astype(_DAY),
        "test_end": split.test_end.astype(_DAY),
        "purged": split.purged,
        "code_commit": manifest.provenance.code_commit,
        "changed": " with local changes" if manifest.provenance.code_changed else "",
        "lock": manifest.provenance.lock_sha256,
        "spec": manifest.spec_sha256,
        "age_days": int((as_of_end - last) / np.timedelta64(1, "D")),
        "weeks": float((last - first) / np.timedelta64(7, "D")),
    }
