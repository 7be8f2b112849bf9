"""`make bench`: every race, one after the other.

What belongs here: which races there are. What does not: what they measure.
"""

from __future__ import annotations

import argparse
import importlib

RACES = (
    "point_in_time",
    "customer_daily",
    "materialisation",
    "online_reads",
    "online_serving",
    "entity_serving",
    "import_source",
    "batch_scoring",
    "drift",
    "memory",
)


def main() -> None:
    """Run the races that are named, or all."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__.splitlines()[0])
    parser.add_argument("races", nargs="*", metavar="RACE", help=f"one or more of {', '.join(RACES)}; default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full size (default: 1.0)")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.races) - set(RACES)):
        parser.error(f"there is no race {unknown[0]!r}; choose from {', '.join(RACES)}")
    for name in asked.races or RACES:
        importlib.import_module(f"benchmarks.{name}").main(asked.scale)


if __name__ == "__main__":
    main()
