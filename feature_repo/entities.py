"""What features are about, one entity per `entity` of the feature groups.

What belongs here: Feast entities. What does not: keys and names, which are in the groups' specs.
"""

from __future__ import annotations

from feast import Entity, ValueType

from include.specs.groups import load_feature_groups

ENTITIES = {
    spec.entity.name: Entity(name=spec.entity.name, join_keys=[spec.entity.key], value_type=ValueType.STRING)
    for spec in load_feature_groups()
}

# Feast's own commands find objects by the attributes of a module.
globals().update(ENTITIES)
