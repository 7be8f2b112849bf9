"""The report as people see it: in a real browser, narrow and wide, light and dark, by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from include.demo.account import DemoAccount, ModelAccount
from include.demo.report import render_report
from include.governance.evidence import GateReport
from include.views.deliveries import RowAccount
from tests.browser import CONTRASTS, chromium
from tests.everyday import members
from tests.unit.demo.accounts import (
    change_model,
    make_account,
    make_account_of_three,
    make_decision,
    make_eventful_account,
    make_measured,
    make_night,
)

NARROW, WIDE = 400, 1200
SHARED = ["rows-table", "tables-table", "online-table", "runs-table", "time-table"]
REGIONS = ["drift-churn-table", "ledger-churn-table", *SHARED]
LONG = "a" * 300


def broken_account() -> DemoAccount:
    """Lost rows, a night without monitoring, a gate that failed."""
    lost = make_night("2026-03-16", measured=None, scored=None, rows=RowAccount(10, 6))
    account = make_account(make_night("2026-03-15"), lost, approved_by_demo=True)
    gate = GateReport("auc", "fail", 0.71, 0.85, "AUC 0.7100 < 0.85")
    (model,) = account.models
    return change_model(
        account,
        nights=(model.nights[0], replace(model.nights[1], decisions=())),
        versions=(replace(model.versions[0], gates=(gate, replace(gate, gate="latency", verdict="unknown"))),),
    )


def long_account(models_of: Callable[[ModelAccount], tuple[ModelAccount, ...]] = lambda model: (model,)) -> DemoAccount:
    """Words that are wider than a telephone wherever a table brings words."""
    night = make_night(
        "2026-03-15",
        make_decision("2026-03-15", "retrain", reasons=(LONG,), trained_by=LONG),
        rows=RowAccount(2_000_000_000, 1, ((LONG, 1_999_999_999),)),
        measured=make_measured("2026-03-15", status="incident", reasons=(LONG + "b",)),
    )
    account = make_account(
        night, steps=((1, "None", "Production", "2026-03-15", LONG, LONG),), source=LONG, happened={"2026-03-15": LONG}
    )
    gate = GateReport(LONG, "not_applicable", 1e-9, 1e9, LONG)
    (model,) = account.models
    model = replace(model, registered_name=LONG, versions=(replace(model.versions[0], gates=(gate,)),))
    return replace(
        account,
        models=models_of(model),
        stages=(replace(account.stages[0], name=LONG),),
        runs=(replace(account.runs[0], run_ids=(LONG,)),),
    )


def long_account_of_two() -> DemoAccount:
    """The same, beside a model whose id is such a word too."""
    return long_account(lambda model: (model, replace(model, model_id=LONG)))


ACCOUNTS: dict[str, Callable[[], DemoAccount]] = {
    "eventful": make_eventful_account,
    "broken": broken_account,
    "long words": long_account,
    "three models": make_account_of_three,
    "two models of long words": long_account_of_two,
}


@dataclass
class Visit:
    """An open page and what its browser did for it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def opened(account: DemoAccount, *, width: int = WIDE, scheme: str = "light") -> Iterator[Visit]:
        file = tmp_path / "report.html"
        file.write_text(render_report(account), encoding="utf-8")
        context = browser.new_context(offline=True, viewport={"width": width, "height": 800}, color_scheme=scheme)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: visit.errors.append(message.text))
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.goto(file.as_uri())
        yield visit
        context.close()

    return opened


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className || 'other'"))


def press_tab_until(page: Any, wanted: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    pytest.fail(f"Tab does not reach {wanted}")


def test_the_page_asks_for_nothing_but_itself_and_has_no_errors(visit, tmp_path):
    with visit(make_eventful_account()) as seen:
        seen.page.wait_for_load_state("networkidle")
        assert seen.requests == [(tmp_path / "report.html").as_uri()]
        assert seen.errors == []
        assert seen.page.title() == "churn: report of a demo of 17 nights"
        assert seen.page.evaluate("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("scheme", members(["light", "dark"], daily=["light"]))
@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_a_telephone_never_scrolls_the_page_sideways(visit, name, scheme):
    with visit(ACCOUNTS[name](), width=NARROW, scheme=scheme) as seen:
        assert seen.page.evaluate("document.scrollingElement.scrollWidth") <= NARROW
        cut_off = """() => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .vh, svg, .skip"))
            .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"""
        assert seen.page.evaluate(cut_off) == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_every_section_and_region_is_visible(visit, width):
    with visit(make_eventful_account(), width=width) as seen:
        assert seen.page.locator("section").count() == 9
        for locator in (seen.page.locator("section > h2"), seen.page.locator("[role=region]")):
            for box in [item.bounding_box() for item in locator.all()]:
                assert box["width"] > 0
                assert box["height"] > 15
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
        names = [item.get_attribute("id") for item in seen.page.get_by_role("region").all()]
        assert [name for name in names if name] == REGIONS


def test_seventeen_nights_of_drift_fit_a_desk(visit):
    with visit(make_eventful_account()) as seen:
        assert (
            seen.page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.getElementById('drift-churn-table'))")
            <= 0
        )


def test_tab_reaches_the_skip_link_first_and_then_every_region_in_order(visit):
    with visit(make_eventful_account(), width=NARROW) as seen:
        seen.page.keyboard.press("Tab")
        assert focused(seen.page) == "skip"
        box = seen.page.locator(".skip").bounding_box()
        assert box["y"] >= 0
        assert box["height"] > 0
        for region in REGIONS:
            press_tab_until(seen.page, region)
            outline = "(s => [s.outlineStyle, parseFloat(s.outlineWidth)])(getComputedStyle(document.activeElement))"
            assert seen.page.evaluate(outline) == ["solid", 3]


def test_the_skip_link_leads_past_the_navigation(visit):
    with visit(make_eventful_account()) as seen:
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        assert focused(seen.page) == "main"
        seen.page.keyboard.press("Tab")
        assert focused(seen.page) == "drift-churn-table"


def test_arrow_keys_scroll_the_heat_map_and_its_features_stay_in_view(visit):
    with visit(make_eventful_account(), width=NARROW) as seen:
        press_tab_until(seen.page, "drift-churn-table")
        for _ in range(6):
            seen.page.keyboard.press("ArrowRight")
        seen.page.wait_for_function("document.getElementById('drift-churn-table').scrollLeft > 60")
        offset = """() => { const r = document.getElementById("drift-churn-table");
            const h = r.querySelector("tbody th").getBoundingClientRect(), b = r.getBoundingClientRect();
            return [h.left - b.left, h.width / b.width]; }"""
        left, share = seen.page.evaluate(offset)
        assert abs(left) <= 1.5
        assert share < 0.5, "more than half is left to the nights"
        assert seen.page.evaluate("document.scrollingElement.scrollLeft") == 0


def test_a_region_is_named_and_a_cell_reads_as_a_sentence(visit):
    with visit(make_eventful_account()) as seen:
        region = seen.page.get_by_role("region", name="Drift by feature and night, scrolls sideways")
        cell = region.get_by_role("row", name="total_orders_30d").get_by_role("cell").nth(10)
        assert " ".join(cell.text_content().split()) == "0.412 significant, 0.010 expected by chance"
        assert region.get_by_role("columnheader").count() == 18
        assert region.get_by_role("rowheader").count() == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", members(ACCOUNTS, daily=[name for name in ACCOUNTS if "long words" not in name]))
def test_all_words_have_contrast_as_they_are_drawn(visit, name, scheme):
    with visit(ACCOUNTS[name](), scheme=scheme) as seen:
        found = seen.page.evaluate(CONTRASTS)
        assert len(found) > 80
        assert [pair for pair in found if pair[0] < 4.5] == []


def test_light_and_dark_are_two_pages_and_paper_is_light(visit):
    ground = "getComputedStyle(document.body).backgroundColor"
    with visit(make_eventful_account(), scheme="light") as light:
        on_light = light.page.evaluate(ground)
    with visit(make_eventful_account(), scheme="dark") as dark:
        on_dark = dark.page.evaluate(ground)
        dark.page.emulate_media(media="print")
        on_paper = dark.page.evaluate(ground)
    assert on_light == on_paper == "rgb(250, 250, 248)"
    assert on_dark == "rgb(18, 21, 24)"


def test_paper_shows_the_whole_heat_map(visit):
    with visit(make_eventful_account(), width=794) as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate("document.scrollingElement.scrollWidth") <= 794
        assert seen.page.locator("nav").is_hidden()


REGIONS_OF_THREE = [f"{part}-{of}-table" for of in ("churn", "fraud", "recommendation") for part in ("drift", "ledger")]


@pytest.mark.parametrize("width", members([NARROW, WIDE], daily=[NARROW]))
def test_three_models_have_their_own_sections_and_share_the_rest(visit, width):
    with visit(make_account_of_three(), width=width) as seen:
        assert seen.page.title() == "churn, fraud, recommendation: report of a demo of 17 nights"
        assert [seen.page.locator(f"[data-model={of}] section").count() for of in ("churn", "fraud")] == [4, 4]
        assert seen.page.locator("section").count() == 1 + 3 * 4 + 5
        regions = [item.get_attribute("id") for item in seen.page.locator(".scroll").all()]
        assert regions == [*REGIONS_OF_THREE, *SHARED]
        for item in seen.page.locator("h2, h3.title, [role=region]").all():
            box = item.bounding_box()
            assert box["width"] > 0
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width


def test_tab_reaches_the_regions_of_each_model_from_the_navigation_of_its_own(visit):
    with visit(make_account_of_three()) as seen:
        seen.page.get_by_role("navigation").get_by_role("link", name="Drift of fraud").focus()
        seen.page.keyboard.press("Enter")
        seen.page.keyboard.press("Tab")
        assert focused(seen.page) == "drift-fraud-table"
        heading = seen.page.get_by_role("heading", name="Drift by feature and night of fraud").bounding_box()
        assert 0 <= heading["y"] < 800
        for region in (*REGIONS_OF_THREE[3:], *SHARED):
            press_tab_until(seen.page, region)


def test_a_night_of_all_models_leads_to_what_one_of_them_decided(visit):
    with visit(make_account_of_three()) as seen:
        night = seen.page.locator("[data-table=deliveries][data-key='2026-03-24']")
        night.get_by_role("link", name="fraud").click()
        decided = seen.page.locator("[data-model=fraud] [data-table=nights][data-key='2026-03-24']")
        assert 0 <= decided.bounding_box()["y"] < 800
        assert "3 of the last 5 nights" in decided.text_content()
        names = [link.text_content() for link in seen.page.get_by_role("navigation").get_by_role("link").all()]
        assert len(names) == len(set(names)) == 1 + 3 * 5 + 4
