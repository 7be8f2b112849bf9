"""How long a trigger waits before it looks for the first time.

What belongs here: that number, and why there is one. What does not: what a trigger looks at.
"""

from __future__ import annotations

# Airflow 3.3 can take a task that is resumed within a second or two of its deferral for one that failed: its scheduler
# hears of the first end of the process when the second one runs already. Who defers has looked itself just before.
FIRST_LOOK_S = 5.0
