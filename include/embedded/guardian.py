"""The guardian: a process that waits for its parent to be gone, then stops the home.

What belongs here: waiting on a pipe. What does not: how a home is stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

from include.embedded.home import EmbeddedHome


def main() -> None:
    """Wait until standard input ends, then stop the home and run named by the arguments, unless it was started anew."""
    home, run_id = Path(sys.argv[1]), sys.argv[2]
    while sys.stdin.buffer.read(1):
        pass
    EmbeddedHome(home).stop_run(run_id)


if __name__ == "__main__":
    main()
