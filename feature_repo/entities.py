"""What features are about, as Feast says it.

What belongs here: Feast entities. What does not: keys and names, which are in the groups' specs.

Feast's entity has one join key. An entity of one key is one of Feast's, of the same name; an entity of several keys is
as many of Feast's: each that of the entity which has this key alone, or else one named as the key.
"""

from __future__ import annotations

from feast import Entity, ValueType

from include.specs.deployed import load_specs
from include.specs.groups import EntitySpec

_SPECS = [spec.entity for spec in load_specs().groups.values()]
_NAMES = {spec.keys[0]: spec.name for spec in _SPECS if len(spec.keys) == 1}


def names_of(entity: EntitySpec) -> list[str]:
    """Return the names of Feast's entities that an entity consists of, in the order of its keys."""
    return [entity.name] if len(entity.keys) == 1 else [_NAMES.get(key, key) for key in entity.keys]


ENTITIES = {
    name: Entity(name=name, join_keys=[key], value_type=ValueType.STRING)
    for spec in _SPECS
    for name, key in zip(names_of(spec), spec.keys, strict=True)
}

# Feast's own commands find objects by the attributes of a module.
globals().update(ENTITIES)
