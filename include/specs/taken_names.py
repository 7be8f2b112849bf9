"""Names of columns that a model's tables have anyway, whatever its features and keys are called.

What belongs here: which names those are. What does not: whose fault it is where a feature or a key has one of them.
"""

from __future__ import annotations

from include.specs.models import ModelSpec
from include.tables import OF_NOBODY, online_vectors_table, outcomes_table, predictions_table

ANYWAY = "{} is a column that what is kept of a model has anyway; give it another name"

# Beside features, in a training set and in a night's measures.
_LABEL, _SCORE = "label", "score"
# Beside keys, in what a label's statement gives and in what features are read from.
_OF_EXAMPLES = (_LABEL, "known_at", "event_timestamp", "created_timestamp")


def taken_by_model(spec: ModelSpec) -> set[str]:
    """Return the names that no feature of a model can have."""
    return {*spec.entity.keys, *online_vectors_table(spec.model_id, (), OF_NOBODY).schema, _LABEL, _SCORE}


def taken_by_keys(spec: ModelSpec) -> set[str]:
    """Return the names that no key of a model's entity can have."""
    nobody = spec.model_id, (), OF_NOBODY
    kept = predictions_table(*nobody, spec.predicted), outcomes_table(*nobody), online_vectors_table(*nobody)
    return {*(name for table in kept for name in table.schema), *_OF_EXAMPLES}
