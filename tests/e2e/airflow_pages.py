"""Airflow's pages as a person opens them: logged in, in a browser.

What belongs here: which pages there are, and what each shows once there is something to show. What does not: how a
home came to hold it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from include.embedded.api import USER
from tests.browser import watch

_BUILDS = "/dags/materialize_features__customer_daily"
_QUESTION = "Promote churn-predictor version 2"

# Each page's address beneath the server's, and words that it shows only when it was filled.
PAGES = {
    "home": ("/", "Active Dags"),
    "DAGs": ("/dags", "train_model__churn"),
    "DAG": ("/dags/train_model__churn", "Last 2 Dag Runs"),
    "calendar of a DAG": (f"{_BUILDS}/calendar", "Total Runs"),
    "backfills of a DAG": (f"{_BUILDS}/backfills", "1 Backfill"),
    "required actions of a DAG": ("/dags/promote_model__churn/required_actions", _QUESTION),
    "runs": ("/dag_runs", "monitor_model__churn"),
    "run": (f"{_BUILDS}/runs/{{run}}", "{night}"),
    "task": (f"{_BUILDS}/runs/{{run}}/tasks/build", "features group=customer_daily"),
    "links of a task": (f"{_BUILDS}/runs/{{run}}/tasks/build/details", "Quality report"),
    "assets": ("/assets", "predictions_churn"),
    "required actions": ("/required_actions", _QUESTION),
    "plugins": ("/plugins", "mlops"),
    "model monitoring": ("/mlops/monitoring/churn", "Drift by feature and night"),
    "quality report": ("/mlops/quality/customer_daily/{night}", "published"),
}


@dataclass(frozen=True)
class OpenPage:
    """An open page, and the list of what went wrong on it so far."""

    page: Any
    wrong: list[str]

    def see(self, words: str) -> None:
        """Wait until it shows the words, and then until it asks for nothing more."""
        self._wait_for(self.page.get_by_text(words), words)

    def graph(self, *among: str) -> set[str]:
        """Wait for these nodes of its graph to be drawn, which need not be at once, and return the names of all."""
        nodes = self.page.locator(".react-flow__node")
        self._wait_for(nodes.filter(has_text=among[0]), f"{among[0]} in a graph")
        names: set[str] = set()
        for _ in range(50):
            names = {line for text in nodes.all_inner_texts() for line in text.split("\n") if line}
            if names.issuperset(among):
                break
            self.page.wait_for_timeout(200)
        return names

    def _wait_for(self, shown: Any, what: str) -> None:
        from playwright.sync_api import TimeoutError as NotThereError

        try:
            shown.first.wait_for()
        except NotThereError:
            raise AssertionError(f"{self.page.url} does not show {what}; what went wrong: {self.wrong}") from None
        self.page.wait_for_load_state("networkidle")


class Visitor:
    """A person who has logged in, in a browser.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        Launched.
    address : str
        Of the API server.
    password : str
        Of the user.
    user : str
        Who logs in.
    """

    def __init__(self, browser: Any, address: str, password: str, *, user: str = USER) -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = self.context.new_page()
        page.goto(f"{address}/auth/login")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/auth/login" not in url)
        page.close()

    @contextmanager
    def at(self, path: str, remembered: dict[str, str] | None = None) -> Iterator[OpenPage]:
        """Open a page, in a browser that remembers choices made earlier."""
        page = self.context.new_page()
        for key, value in (remembered or {}).items():
            page.add_init_script(f"""localStorage.setItem("{key}", '"{value}"')""")
        opened = OpenPage(page, watch(page))
        try:
            page.goto(self.address + path)
            yield opened
        finally:
            page.close()
