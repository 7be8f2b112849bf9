"""A real browser for the tests that open pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.real_data import require

_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """Launch Chromium without a window, and close it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        require("playwright is not installed")
    executable = shutil.which("chromium")
    if executable is None:
        require("there is no chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=_ARGS)
        try:
            yield launched
        finally:
            launched.close()


def watch(page: Any) -> list[str]:
    """Return a list that fills with what goes wrong on a page: answers that are errors, errors of its console."""
    wrong: list[str] = []
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong
