"""What a person or another system has said, as it is kept for good and shown in a line of its own.

What belongs here: making it one line that shows nothing but itself. What does not: whether it says enough, which is for
whoever asked.
"""

from __future__ import annotations

LONGEST = 500


def as_line(text: str) -> str:
    r"""Return a text in one line of at most `LONGEST` characters, all of which are seen; of a longer one the beginning.

    A line break would let a reason pass for another row of a list, and a terminal obeys what it does not show.

    Examples
    --------
    >>> as_line("late\n2026-03-22  version 9  by root\x1b[2K")
    'late 2026-03-22 version 9 by root [2K'
    >>> len(as_line("x" * 2_000_000))
    500
    """
    seen = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(seen.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
