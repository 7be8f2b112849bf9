"""Read what a version was tested on, with the scores that it gives.

What belongs here: the one way to the rows of a version's test. What does not: what they say of the version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from include.adapters.lake.training_sets import read_manifest, read_training_set
from include.features.checks import EVENT_TIMESTAMP
from include.question.matrix import feature_matrix
from include.training.manifest import spec_of_text
from include.training.split import split_snapshots

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel
    from include.specs.models import ModelSpec


def read_tested(deployment: Deployment, spec: ModelSpec, loaded: LoadedModel) -> pa.Table | None:
    """Return the rows of a version's test; None where the lake does not keep its training set any more.

    Returns
    -------
    pyarrow.Table
        The entity keys, ``event_timestamp``, the features, ``label`` (int8) and ``score`` (float32); by time and keys.
    """
    set_id = loaded.manifest.set_id
    if read_manifest(deployment.lake, spec.model_id, set_id) is None:
        return None
    _, examples = read_training_set(deployment.lake, spec.model_id, set_id)
    made_by = spec if loaded.spec is None else spec_of_text(loaded.spec, present=spec)[0]
    tested = examples.filter(pa.array(split_snapshots(made_by, examples[EVENT_TIMESTAMP].to_numpy()).test))
    scores = loaded.model.predict(feature_matrix(tested, loaded.signature.feature_names))
    return tested.append_column("score", pa.array(scores, pa.float32()))
