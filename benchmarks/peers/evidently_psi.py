# /// script
# requires-python = "==3.11.*"
# dependencies = ["evidently==0.7.23", "pandas<3", "numpy<2.4"]
# ///
"""Evidently's PSI of the race's samples: `uv run --script evidently_psi.py ROWS FEATURES`.

What belongs here: a report as Evidently documents one. What does not: the samples and the clock (``drift``).

Frames are made before the first round. Each line that comes in is answered by one when a report is done: the PSI of the
first feature.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.drift import samples

ROWS, FEATURES = (int(argument) for argument in sys.argv[1:])

pairs = samples(ROWS, FEATURES)
reference, current = (pd.DataFrame({f"x{n}": pair[side] for n, pair in enumerate(pairs)}) for side in (0, 1))
del pairs
report = Report([ValueDrift(column=name, method="psi") for name in reference])
print("ready", flush=True)
for _asked in sys.stdin:
    measured = report.run(reference_data=reference, current_data=current).dict()
    print(measured["metrics"][0]["value"], flush=True)
