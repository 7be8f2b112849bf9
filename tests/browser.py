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

# Each element that holds words, with the colours that it is drawn in: [contrast, words].
CONTRASTS = """() => {
  const parse = c => { const p = c.match(/[\\d.]+/g).map(Number); return p.length < 4 ? [...p, 1] : p; };
  const lum = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c; } throw new Error("no ground"); };
  return [...document.querySelectorAll("body *")].filter(e => !e.closest(".vh, svg")
      && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 60)];
  });
}"""  # noqa: E501


@contextmanager
def chromium() -> Iterator[Any]:
    """Launch Chromium without a window, and close it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        require("playwright is not installed")
    # The whole browser takes three times as long: it starts windows that nobody sees.
    executable = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if executable is None:
        require("there is no Chromium (Debian: apt-get install chromium-headless-shell)")
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
