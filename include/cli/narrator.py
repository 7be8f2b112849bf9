"""How a long command tells a person where it is: a spinner on a terminal, plain lines elsewhere.

What belongs here: lines, spinner and tables on standard output. What does not: what they say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 160


class TerminalNarrator:
    """Prints to standard output; colours are the terminal's own sixteen, so that they fit dark and light.

    ``NO_COLOR`` turns colours off; without a terminal there are neither colours nor a spinner.
    """

    def __init__(self) -> None:
        console = Console(highlight=False, color_system="standard")
        self.is_terminal = console.is_terminal
        plain = Console(highlight=False, width=_PLAIN_WIDTH, color_system=None)
        self._console = console if self.is_terminal else plain
        self._doing: list[str] = []
        self._status: Status | None = None

    def say(self, line: str) -> None:
        """Print a line that stays, unbroken where there is no terminal."""
        style = "green" if line.startswith("✓") else ""
        self._console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def working_on(self, what: str) -> Iterator[None]:
        """Show what is being done, on a terminal, until it is done; the innermost of several."""
        self._doing.append(what)
        self._show()
        try:
            yield
        finally:
            self._doing.pop()
            self._show()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table."""
        table = Table(title=title, title_justify="left", title_style="bold", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self._console.print()
        self._console.print(table)

    def _show(self) -> None:
        if not self.is_terminal:
            return
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._doing:
            self._status = self._console.status(Text(self._doing[-1]), spinner="line")
            self._status.start()
