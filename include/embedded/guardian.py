"""The guardian: a process that waits for its parent to be gone, then stops what the parent can't any more.

What belongs here: starting it, and waiting on a pipe. What does not: how a home is stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from include.embedded.home import EmbeddedHome
from include.settings import PROJECT_ROOT


def start_guardian(home: Path, run_id: str | None = None) -> subprocess.Popen[bytes]:
    """Start a guardian of this process.

    Parameters
    ----------
    home : Path
    run_id : str, optional
        The start that it stops; by default what commands have started, unless another one uses it.
    """
    # It holds the other end of a pipe: when this process dies in whatever way, the pipe closes.
    return subprocess.Popen(
        [sys.executable, "-m", "include.embedded.guardian", str(os.getpid()), str(home), *([run_id] if run_id else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        start_new_session=True,
    )


def main() -> None:
    """Wait until standard input ends, then stop what the arguments name, unless somebody else has taken it up."""
    parent, home, run_id = int(sys.argv[1]), EmbeddedHome(Path(sys.argv[2])), sys.argv[3:]
    while sys.stdin.buffer.read(1):
        pass
    # The pipe of one that is killed may close before it lets its locks go; it has, when it is our parent no more.
    while os.getppid() == parent:
        time.sleep(0.01)
    if run_id:
        home.stop_run(run_id[0])
    else:
        home.stop_unused()


if __name__ == "__main__":
    main()
