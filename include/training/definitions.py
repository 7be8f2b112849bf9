"""What a model's spec refers to, and what makes its training set as the spec does: statements, services and groups.

What belongs here: which of their values count. What does not: their files and schemas (``include.specs``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from include.specs.groups import load_feature_group
from include.specs.labels import load_label_kind
from include.specs.models import ModelSpec
from include.specs.services import load_feature_service


def definitions_of(spec: ModelSpec, overlay_root: Path | None) -> dict[str, str]:
    """Return the sha256 of what a spec refers to, by what it is called.

    That is the statement of its label, the columns of its feature service, and of each group that is read its entity
    and how old a feature may be. A commit does not tell of those that an overlay brings.
    """
    kind, service = load_label_kind(spec.label.kind, overlay_root), load_feature_service(spec.features.service)
    groups = map(load_feature_group, dict.fromkeys([spec.features.group, *service.features]))
    told = {
        f"label {kind.name}": kind.sql,
        f"feature service {service.service}": json.dumps(service.model_dump(mode="json")["features"]),
        **{f"feature group {group.group}": json.dumps([group.entity.keys, group.ttl_days]) for group in groups},
    }
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in told.items()}
