from __future__ import annotations

import pytest

from include.cli.narrator import TerminalNarrator


def narrate() -> None:
    narrator = TerminalNarrator()
    with narrator.working_on("the whole"), narrator.working_on("a part"):
        narrator.say("✓ a part (3 s)")
    narrator.table("Rows", ("what", "rows"), [("[bold]delivered[/bold]", 12)])


def test_without_a_terminal_there_are_plain_lines_and_no_spinner(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    narrate()
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.startswith("✓ a part (3 s)\n")
    assert "the whole" not in said


def test_on_a_terminal_it_is_coloured_with_the_terminals_own_colours(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    narrate()
    said = capsys.readouterr().out
    assert "\x1b[32m✓ a part (3 s)\x1b[0m" in said
    assert "38;2;" not in said  # no colour of a fixed value, which would not fit both dark and light


def test_no_color_is_obeyed(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    narrate()
    said = capsys.readouterr().out
    assert "\x1b[32m" not in said
    assert "✓ a part (3 s)" in said


@pytest.mark.parametrize("word", ["[bold]delivered[/bold]", "12"])
def test_a_table_prints_its_cells_as_they_are(capsys, word):
    narrate()
    assert word in capsys.readouterr().out
