"""
### Say which specs can't be used

Holds no DAG. Airflow's import error of this file is the list of what is wrong with the YAML of groups, services and
models, a sentence for each; without one, all is well. The other files build the DAGs of the specs that stand, so that
one that is wrong takes down its own DAGs, and those of what reads it, but nobody else's.

- **In**: `include/config/features`, `services` and `models`, the overlay in `MLOPS_SPECS`, the statements they name.
- **Out**: nothing, or an import error.
- **Hazards**: what is wrong has no DAGs until it is put right; the nights of that time are filled afterwards, by
  `backfill_features__<group>` and `rescore_range__<model>`.
- **Re-run**: Airflow reads it again by itself, every half minute. `mlops models check` says the same before a
  deployment.
"""

from __future__ import annotations

from include.errors import SpecError
from include.specs.deployed import load_specs

if violations := load_specs().violations:
    raise SpecError("\n".join(found.message for found in violations))
