"""The report's page, read back as a machine reads it, and held to the account that it was made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from include.demo import report
from include.demo.account import DemoAccount, ModelAccount
from include.demo.report import render_report, tell_approval, tell_headline, tell_outcome
from include.governance.evidence import GateReport
from include.views.deliveries import RowAccount
from include.views.lake_tables import LakeTable
from include.views.nights import Night
from tests.unit.demo.accounts import (
    FEATURES,
    FIRST_VERSION,
    WORSE,
    change_model,
    make_account,
    make_account_of_three,
    make_decision,
    make_eventful_account,
    make_gates,
    make_home,
    make_measured,
    make_model,
    make_night,
    make_nights,
)
from tests.unit.monitoring.nights import make_drift

NASTY = """<script>alert("1")</script> & 'two' {{ 7 * 7 }} </td>"""
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr", "use", "circle", "path", "rect"}
TEMPLATE = Path(report.__file__).with_name("report.html.j2").read_text(encoding="utf-8")


@dataclass
class Row:
    """An element that stands for one row of a table: its attributes, its numbers and its words."""

    attributes: dict[str, str]
    fields: dict[str, float] = field(default_factory=dict)
    text: str = ""


class Page(HTMLParser):
    """The page as a tree of what tests ask for; `rows` is by model ("" of none), table and key."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[tuple[str, Row | None]] = []
        self._models: list[tuple[int, str]] = []
        self.feed(html)
        assert self._open == [], "every element that was opened is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if "data-field" in attributes:
            self._enclosing().fields[attributes["data-field"]] = float(attributes["value"])
        if "data-model" in attributes:
            self._models.append((len(self._open), attributes["data-model"]))
        row = None
        if "data-table" in attributes:
            row = Row(attributes)
            key = (self._models[-1][1] if self._models else "", attributes["data-table"], attributes["data-key"])
            assert key not in self.rows, f"{key} stands twice"
            self.rows[key] = row
        if tag not in VOID:
            self._open.append((tag, row))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"
        if self._models and self._models[-1][0] == len(self._open):
            self._models.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        for _, row in self._open:
            if row is not None:
                row.text += data

    def _enclosing(self) -> Row:
        return next(row for _, row in reversed(self._open) if row is not None)

    def table(self, name: str, model_id: str | None = None) -> dict[str, Row]:
        """Rows of a table by key, of one model or wherever they stand."""
        return {k: row for (of, table, k), row in self.rows.items() if table == name and model_id in (None, of)}


def words(text: str) -> str:
    return " ".join(text.split())


def read(account: DemoAccount) -> Page:
    return Page(render_report(account))


@pytest.fixture(scope="module")
def account() -> DemoAccount:
    return make_eventful_account()


@pytest.fixture(scope="module")
def model(account: DemoAccount) -> ModelAccount:
    (only,) = account.models
    return only


@pytest.fixture(scope="module")
def page(account: DemoAccount) -> Page:
    return read(account)


def test_text_from_the_tables_is_never_markup():
    night = make_night(
        "2026-03-15",
        make_decision("2026-03-15", "retrain", reasons=(NASTY,), trained_by=NASTY),
        measured=replace(
            make_measured("2026-03-15", status="incident", reasons=(NASTY + "2",)),
            drift=(replace(make_drift(NASTY), reason=NASTY),),
        ),
        rows=RowAccount(2, 1, ((NASTY, 1),)),
    )
    gates = (GateReport(NASTY, "fail", 0.5, 0.85, NASTY),)
    made = make_account(night, steps=((1, "None", "Archived", "2026-03-15", NASTY, NASTY),))
    (model,) = made.models
    made = replace(
        made,
        source=NASTY,
        happened={"2026-03-15": NASTY},
        models=(replace(model, versions=(replace(model.versions[0], gates=gates),)),),
        tables=(LakeTable(NASTY, 1, "2026-03-15", "2026-03-15", 1),),
        runs=(replace(made.runs[0], dag_id=NASTY, run_ids=(NASTY,)),),
        stages=(replace(made.stages[0], name=NASTY),),
    )
    page = read(made)
    assert {"script", "img"} & {tag for tag, _ in page.elements} == set()
    assert page.text.count(NASTY) >= 15
    assert f"1/{NASTY}" in page.table("gates")


def test_nothing_is_loaded_and_nothing_runs():
    html = render_report(make_eventful_account()).lower()
    for forbidden in ("http:", "https:", "//", "src=", "srcset", "url(", "@import", "<script", "<link", "javascript:"):
        assert forbidden not in html, forbidden
    page = Page(html)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    hrefs = {attributes["href"] for _, attributes in page.elements if "href" in attributes}
    assert hrefs
    assert all(href.startswith("#") for href in hrefs)
    assert hrefs <= {"#" + attributes["id"] for _, attributes in page.elements if "id" in attributes}


def test_every_reason_of_a_decision_is_told_with_its_decision(model, page):
    assert set(page.table("decisions")) == {str(d.decision_id) for d in model.decisions}
    for decision in model.decisions:
        row = page.table("decisions")[str(decision.decision_id)]
        for reason in decision.reasons:
            assert reason in row.text
        assert row.attributes["data-partition"] == decision.partition
        assert row.attributes["data-action"] == decision.action
        assert row.attributes["data-trigger"] == decision.trigger
        assert row.attributes["data-acted"] == str(decision.acted).lower()


def test_both_decisions_of_a_replayed_night_are_told():
    first = make_decision("2026-03-15", "retrain", decision_id=4)
    again = make_decision("2026-03-15", "retrain", decision_id=5, acted=False)
    page = read(make_account(make_night("2026-03-15", first, again)))
    assert {"4", "5"} <= set(page.table("decisions"))
    assert page.table("nights")["2026-03-15"].attributes["data-kind"] == "acted"


def test_decisions_and_moves_of_days_that_were_not_played_are_told_too():
    late = make_decision("2026-04-02", "retrain", decision_id=99, reasons=("a price change, by hand",))
    base = make_account(steps=(*FIRST_VERSION, (1, "Production", "Archived", "2026-04-02", "ada", "wound up")))
    page = read(change_model(base, decisions=(*base.models[0].decisions, late)))
    assert "a price change, by hand" in page.table("decisions")["99"].text
    assert "wound up" in page.text.split("Drift by feature")[0]


def test_every_gate_is_told_with_its_verdict_value_and_reason(model, page):
    gates = {f"{version.version}/{gate.gate}": gate for version in model.versions for gate in version.gates}
    assert set(page.table("gates")) == set(gates)
    assert gates
    for key, gate in gates.items():
        row = page.table("gates")[key]
        assert gate.reason in row.text
        assert row.attributes["data-verdict"] == gate.verdict
        assert row.fields.get("value") == gate.value
        assert row.fields.get("threshold") == gate.threshold


def test_a_version_says_where_it_stands(model, page):
    assert {key: row.attributes["data-stage"] for key, row in page.table("versions").items()} == {
        str(version.version): version.stage.value for version in model.versions
    }


def test_rows_are_the_accounts_rows(account, page):
    expected = {"history": account.history, "total": account.rows, **account.deliveries}
    assert {key: row.fields for key, row in page.table("rows").items()} == {
        key: {
            "delivered": rows.delivered,
            "published": rows.published,
            "quarantined": rows.rows_quarantined,
            "quarantined:customer_id_missing": dict(rows.quarantined)["customer_id_missing"],
            "quarantined:duplicate_row": dict(rows.quarantined)["duplicate_row"],
            "unaccounted": 0,
        }
        for key, rows in expected.items()
    }


def test_nights_carry_their_numbers(model, page):
    assert list(page.table("nights")) == [night.partition for night in model.nights]
    for night in model.nights:
        assert night.scored is not None
        assert page.table("nights")[night.partition].fields == {
            "delivered": night.rows.delivered,
            "published": night.rows.published,
            "quarantined": night.rows.rows_quarantined,
            "scored": night.scored.rows,
            "version": night.scored.version,
        }


def test_a_night_tells_what_happened_and_what_moved(account, model, page):
    for night in model.nights:
        told = words(page.table("nights")[night.partition].text)
        assert account.happened.get(night.partition, "") in told
        for move in night.moves:
            assert f"Version {move.version} {move.from_stage.value} → {move.to_stage.value}, by {move.actor}" in told
            assert move.reason in told
    assert sum(len(night.moves) for night in model.nights) == 3
    assert len(account.happened) == len([tag for tag, of in page.elements if of.get("class") == "happened"]) == 2


def test_ledger_tables_runs_and_stages_are_the_accounts(account, model, page):
    assert {key: row.fields for key, row in page.table("ledger").items()} == {
        str(move.seq): {"version": move.version} for move in model.ledger
    }
    assert {key: row.fields for key, row in page.table("tables").items()} == {
        table.name: {"partitions": table.partitions, "rows": table.rows} for table in account.tables
    }
    assert {key: row.fields for key, row in page.table("online").items()} == {
        answers.model_id: {
            "questions": answers.questions,
            "median_ms": answers.median_ms,
            "slowest_ms": answers.slowest_ms,
            "largest_difference": answers.largest_difference,
        }
        for answers in account.online
    }
    assert {key: row.fields for key, row in page.table("runs").items()} == {
        dag.dag_id: {"runs": len(dag.run_ids)} for dag in account.runs
    }
    assert {key: row.fields for key, row in page.table("stages").items()} == {
        **{stage.name: {"seconds": stage.seconds} for stage in account.stages},
        "total": {"seconds": account.seconds},
        "peak_pss_mb": {"peak_pss_mb": account.peak_pss_mb},
    }


def test_the_summary_is_the_accounts(account, page):
    assert page.table("summary")["churn"].fields == {"production": 2}
    assert page.table("summary")["all"].fields == {
        "nights": 17,
        "delivered": account.rows.delivered,
        "unaccounted": 0,
        "seconds": account.seconds,
        "peak_pss_mb": account.peak_pss_mb,
    }


def test_the_heat_map_has_a_cell_for_every_feature_and_night(model, page):
    keys = [f"{feature}/{night.partition}" for feature in (*FEATURES, "score") for night in model.nights]
    assert list(page.table("psi")) == keys
    for night in model.nights:
        assert night.measured is not None
        for drift in night.measured.drift:
            cell = page.table("psi")[f"{drift.feature}/{night.partition}"]
            assert cell.attributes["data-verdict"] == drift.verdict
            assert cell.fields.get("psi") == drift.psi
            assert cell.fields.get("psi_expected") == drift.psi_expected
            assert drift.verdict in cell.text


def test_the_prediction_stands_below_the_features_wherever_it_was_measured():
    measured = make_measured("2026-03-15")
    made = make_account(make_night("2026-03-15", measured=replace(measured, drift=measured.drift[::-1])))
    assert [key.split("/")[0] for key in read(made).table("psi")] == [*FEATURES[::-1], "score"]


def test_a_cells_number_is_shown_and_its_verdict_is_more_than_a_colour():
    night = make_night("2026-03-15", measured=make_measured("2026-03-15", psi={"total_orders_30d": 0.41234}))
    cell = read(make_account(night)).table("psi")["total_orders_30d/2026-03-15"]
    assert words(cell.text) == "0.412 significant, 0.010 expected by chance"


def test_a_night_that_was_not_measured_has_cells_without_a_verdict():
    nights = (*make_nights(1), make_night("2026-03-16", measured=None, scored=None))
    page = read(change_model(make_account(*nights), nights=(nights[0], replace(nights[1], decisions=()))))
    row = page.table("nights")["2026-03-16"]
    assert row.attributes["data-kind"] == "undecided"
    assert "not at all" in row.text
    assert "not measured" in row.text
    cells = [cell for key, cell in page.table("psi").items() if key.endswith("2026-03-16")]
    assert len(cells) == 5
    assert {words(cell.text) for cell in cells} == {"·not measured"}


def test_a_verdict_that_could_not_be_given_has_no_number_and_its_reason():
    measured = make_measured("2026-03-15", psi=dict.fromkeys((*FEATURES, "score")))
    drift = tuple(replace(d, reason="the window has 12 rows, below 200") for d in measured.drift)
    page = read(make_account(make_night("2026-03-15", measured=replace(measured, drift=drift))))
    assert {cell.attributes["data-verdict"] for cell in page.table("psi").values()} == {"insufficient"}
    assert not any(cell.fields for cell in page.table("psi").values())
    assert page.text.count("the window has 12 rows, below 200") == 5


def test_a_data_incident_that_no_decision_repeats_is_told():
    measured = make_measured("2026-03-15", status="incident", reasons=("41.0% of 900 rows were quarantined",))
    page = read(make_account(make_night("2026-03-15", measured=measured)))
    assert "41.0% of 900 rows were quarantined" in page.table("nights")["2026-03-15"].text
    assert "data: incident" in page.table("nights")["2026-03-15"].text


LOST = RowAccount(10, 6, (("customer_id_missing", 1),))
DOUBLED = RowAccount(10, 12, (("customer_id_missing", 1),))


@pytest.mark.parametrize(
    ("nights", "told"),
    [
        pytest.param((make_night("2026-03-15", rows=LOST),), "3 of 2026-03-15", id="lost"),
        pytest.param((make_night("2026-03-15", rows=DOUBLED),), "−3 of 2026-03-15", id="counted twice"),  # noqa: RUF001
        pytest.param(
            (make_night("2026-03-15", rows=LOST), make_night("2026-03-16", rows=DOUBLED)),
            "3 of 2026-03-15, −3 of 2026-03-16",  # noqa: RUF001
            id="both, which cancel in the total",
        ),
    ],
)
def test_rows_that_are_unaccounted_for_are_told_loudly(nights: tuple[Night, ...], told: str):
    page = read(make_account(*nights))
    assert f"Rows are unaccounted for: {told}." in words(page.text)
    assert ("p", {"class": "alert", "id": "unaccounted"}) in page.elements
    assert page.elements.count(("div", {"class": "alarm"})) == 1 + len(nights), "in the summary and in each night"
    assert page.table("rows")["2026-03-15"].fields["unaccounted"] == nights[0].rows.unaccounted
    assert page.table("nights")["2026-03-15"].fields["unaccounted"] == nights[0].rows.unaccounted
    assert "delivered rows is published" not in page.text


def test_rows_that_are_all_accounted_for_raise_no_alarm(page):
    assert not [attributes for _, attributes in page.elements if "alarm" in attributes.get("class", "").split()]
    assert "Each of 148,246 delivered rows is published" in page.text


def test_deliveries_of_an_earlier_demo_are_rows_of_their_own():
    page = read(make_account(other_deliveries=RowAccount(7, 5, (("duplicate_row", 1),))))
    assert page.table("rows")["earlier demos"].fields["unaccounted"] == 1
    assert page.table("rows")["total"].fields["unaccounted"] == 1
    assert "1 of earlier demos" in page.text


STAGED = (2, "None", "Staging", "2026-03-17", "train_model", "gates passed")
APPROVED = (2, "Staging", "Production", "2026-03-17", "ada", "the shift is real")
REJECTED = (2, "Staging", "Archived", "2026-03-17", "ada", "rejected: too soon")
FAILED = (2, "None", "Archived", "2026-03-17", "train_model", "gates not passed: auc fail")
WORSE_THAN_CHAMPION = (
    2, "None", "Archived", "2026-03-17", "train_model", f"gates not passed: champion fail ({WORSE.reason})",
)  # fmt: skip
OVERTAKEN = (2, "Staging", *WORSE_THAN_CHAMPION[2:])
ROLLED_BACK = (1, "Archived", "Production", "2026-03-17", "ada", "rollback: worse")
RETRAIN = make_night("2026-03-17", make_decision("2026-03-17", "retrain"))
ECHO = make_night("2026-03-17", make_decision("2026-03-17", "retrain", acted=False))
VETO = make_night("2026-03-17", make_decision("2026-03-17", "veto"))


def told_of(account: DemoAccount) -> str:
    """What the head of a page of one model says of it."""
    (model,) = account.models
    return " ".join((tell_headline(account), *tell_outcome(model)[1:]))


@pytest.mark.parametrize(
    ("last", "steps", "outcome"),
    [
        pytest.param(None, (), "2 nights: 2 held. Version 1 stays in Production.", id="no retrain"),
        pytest.param(VETO, (), "3 nights: 2 held, 1 vetoed. Version 1 stays in Production.", id="a veto"),
        pytest.param(
            ECHO,
            (),
            "3 nights: 2 held, 1 retrain that did not act. Version 1 stays in Production.",
            id="a retrain that did not act",
        ),
        pytest.param(
            RETRAIN,
            (),
            "3 nights: 2 held, 1 retrain that acted. No new version has come of the retrain. "
            "Version 1 stays in Production.",
            id="a retrain without a version",
        ),
        pytest.param(
            RETRAIN,
            (STAGED,),
            "3 nights: 2 held, 1 retrain that acted. Version 2 waits in Staging for an approval. "
            "Version 1 stays in Production.",
            id="a retrain that waits",
        ),
        pytest.param(
            RETRAIN,
            (STAGED, REJECTED),
            "3 nights: 2 held, 1 retrain that acted. Version 2 was archived on 2026-03-17: rejected: too soon. "
            "Version 1 stays in Production.",
            id="a retrain that was rejected",
        ),
        pytest.param(
            RETRAIN,
            (FAILED,),
            "3 nights: 2 held, 1 retrain that acted. Version 2 was archived on 2026-03-17: gates not passed: auc fail. "
            "Version 1 stays in Production.",
            id="a retrain that failed its gates",
        ),
        pytest.param(
            RETRAIN,
            (WORSE_THAN_CHAMPION,),
            "3 nights: 2 held, 1 retrain that acted. Version 2 was archived on 2026-03-17: gates not passed: champion "
            f"fail ({WORSE.reason}). Version 1 stays in Production.",
            id="a retrain that is worse than the version in Production",
        ),
        pytest.param(
            RETRAIN,
            (STAGED, OVERTAKEN),
            "3 nights: 2 held, 1 retrain that acted. Version 2 was archived on 2026-03-17: gates not passed: champion "
            f"fail ({WORSE.reason}). Version 1 stays in Production.",
            id="a retrain that was held against another champion while it waited",
        ),
        pytest.param(
            RETRAIN,
            (STAGED, APPROVED, (3, *WORSE_THAN_CHAMPION[1:])),
            "3 nights: 2 held, 1 retrain that acted. Version 2 went to Production on 2026-03-17, approved by ada. "
            f"Version 3 was archived on 2026-03-17: gates not passed: champion fail ({WORSE.reason}).",
            id="a retrain that is worse than the one that was promoted",
        ),
        pytest.param(
            RETRAIN,
            (STAGED, APPROVED),
            "3 nights: 2 held, 1 retrain that acted. Version 2 went to Production on 2026-03-17, approved by ada.",
            id="a retrain that was promoted",
        ),
        pytest.param(
            RETRAIN,
            (STAGED, APPROVED, ROLLED_BACK),
            "3 nights: 2 held, 1 retrain that acted. Version 2 went to Production on 2026-03-17, approved by ada. "
            "Version 1 went back to Production on 2026-03-17, moved by ada.",
            id="a promotion that was rolled back",
        ),
    ],
)
def test_the_outcome_is_told_in_sentences(last: Night | None, steps: tuple, outcome: str):
    nights = (*make_nights(2), *((last,) if last else ()))
    made = make_account(*nights, steps=(*FIRST_VERSION, *steps))
    assert told_of(made) == outcome
    assert outcome in words(read(made).text)


def test_a_promotion_in_the_first_night_is_told_and_one_before_it_is_not():
    (only,) = make_nights(1)
    first = (2, "Staging", "Production", only.partition, "ada", "at once")
    told = told_of(make_account(only, steps=(*FIRST_VERSION, first)))
    assert told == f"1 night: 1 held. Version 2 went to Production on {only.partition}, approved by ada."


def test_an_eventful_demo_has_the_outcome_first(account, model):
    assert tell_headline(account) == "17 nights: 15 held, 1 vetoed, 1 retrain that acted."
    assert tell_outcome(model) == (
        "15 held, 1 vetoed, 1 retrain that acted.",
        "Version 2 went to Production on 2026-03-27, approved by admin.",
    )


def test_a_demo_that_has_nothing_yet_has_a_page_all_the_same():
    empty = make_account(steps=(), history=RowAccount(), deliveries={}, tables=(), runs=(), stages=(), decisions=())
    empty = change_model(empty, nights=())
    assert told_of(empty) == "No night was played. Nothing is in Production."
    assert "No version was registered." in read(empty).text


def test_the_page_says_plainly_that_the_demo_approved_in_place_of_a_person():
    page = read(make_account(approved_by_demo=True))
    assert "The demo approved in place of a person, signed in as admin" in page.text


def test_a_persons_approval_is_told_by_name():
    assert tell_approval(make_account()) == "Approved by admin."
    assert tell_approval(make_account(steps=())) == "No version was approved."


def test_a_gate_without_a_value_shows_none():
    gate = GateReport("latency", "unknown", None, 50.0, "12 calls were measured; a p99 needs 1000")
    made = make_account()
    (version,) = made.models[0].versions
    page = read(change_model(made, versions=(replace(version, gates=(*make_gates()[:1], gate)),)))
    assert page.table("gates")["1/latency"].fields == {"threshold": 50.0}


def test_headings_landmarks_and_regions_are_in_order(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert [tag for tag, _ in page.elements if tag in ("header", "nav", "main", "footer")] == [
        "header", "nav", "main", "footer",
    ]  # fmt: skip
    regions = [attributes for _, attributes in page.elements if "scroll" in attributes.get("class", "").split()]
    assert len(regions) == page_tables(page) == 7
    assert all((r["role"], r["tabindex"]) == ("region", "0") and r["aria-label"] for r in regions)
    assert len({r["aria-label"] for r in regions}) == 7


def page_tables(page: Page) -> int:
    return sum(tag == "table" for tag, _ in page.elements)


def test_every_header_cell_says_what_it_heads(page):
    scopes = [attributes.get("scope") for tag, attributes in page.elements if tag == "th"]
    assert scopes
    assert set(scopes) == {"col", "row"}


def test_ids_are_unique(page, page_of_three):
    for read_back in (page, page_of_three):
        ids = [attributes["id"] for _, attributes in read_back.elements if "id" in attributes]
        assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def three() -> DemoAccount:
    return make_account_of_three()


@pytest.fixture(scope="module")
def page_of_three(three: DemoAccount) -> Page:
    return read(three)


def test_each_model_has_its_own_rows_in_its_own_element(three, page_of_three):
    enclosing = [attributes["data-model"] for _, attributes in page_of_three.elements if "data-model" in attributes]
    assert enclosing == ["churn", "fraud", "recommendation"]
    for model in three.models:
        expected = {
            "nights": [night.partition for night in model.nights],
            "decisions": [str(decision.decision_id) for decision in model.decisions],
            "ledger": [str(move.seq) for move in model.ledger],
            "versions": [str(version.version) for version in model.versions],
            "gates": [f"{version.version}/{gate.gate}" for version in model.versions for gate in version.gates],
            "psi": [f"{feature}/{night.partition}" for feature in (*FEATURES, "score") for night in model.nights],
        }
        for table, keys in expected.items():
            assert sorted(page_of_three.table(table, model.model_id)) == sorted(keys), table
    assert {table for of, table, _ in page_of_three.rows if of} == set(expected)


def test_what_is_of_the_home_stands_once_and_outside_of_the_models(three, page_of_three):
    outside = {table for of, table, _ in page_of_three.rows if not of}
    assert outside == {"summary", "deliveries", "rows", "tables", "online", "runs", "stages"}
    for told in three.happened.values():
        assert page_of_three.text.count(told) == 1
    assert {key: row.fields for key, row in page_of_three.table("deliveries").items()} == {
        night: {"delivered": rows.delivered, "published": rows.published, "quarantined": rows.rows_quarantined}
        for night, rows in three.deliveries.items()
    }
    for row in page_of_three.table("nights").values():
        assert set(row.fields) <= {"scored", "version"}, "what was delivered is told once"


def test_a_night_of_all_models_says_what_each_made_of_it_and_leads_there(three, page_of_three):
    told = {key: words(row.text) for key, row in page_of_three.table("deliveries").items()}
    assert "churn vetoed fraud held recommendation held" in told["2026-03-19"]
    assert "churn held fraud retrain that acted recommendation held" in told["2026-03-24"]
    assert "recommendation not decided" in told["2026-03-31"]
    linked = {attributes["href"] for tag, attributes in page_of_three.elements if tag == "a"}
    assert {f"#night-{m.model_id}-{night}" for m in three.models for night in three.deliveries} <= linked
    assert linked <= {"#" + attributes["id"] for _, attributes in page_of_three.elements if "id" in attributes}


def test_the_head_tells_the_outcome_of_every_model_and_what_is_in_production(three, page_of_three):
    head = words(page_of_three.text.split("All nights")[0])
    assert "17 nights, 3 models: 47 held, 1 vetoed, 2 retrains that acted, 1 not decided." in head
    assert "churn 15 held, 1 vetoed, 1 retrain that acted. Version 2 went to Production on 2026-03-27" in head
    assert f"gates not passed: champion fail ({WORSE.reason}). Version 1 stays in Production." in head
    assert "recommendation 16 held, 1 not decided. Nothing is in Production." in head
    summary = page_of_three.table("summary")
    assert {m.model_id: summary[m.model_id].fields for m in three.models} == {
        "churn": {"production": 2},
        "fraud": {"production": 1},
        "recommendation": {},
    }
    assert words(summary["recommendation"].text) == "recommendation in Production nothing"


def test_a_loss_of_rows_raises_its_alarm_once_among_several_models(three):
    (day, *_) = three.deliveries
    lost = read(replace(three, deliveries={**three.deliveries, day: LOST}))
    assert f"Rows are unaccounted for: 3 of {day}." in words(lost.text)
    assert lost.table("deliveries")[day].fields["unaccounted"] == 3
    assert lost.elements.count(("div", {"class": "alarm"})) == 2, "in the summary and in the night"


def test_approvals_are_of_all_models():
    both = make_home(
        make_model(),
        make_model(model_id="fraud", steps=(STAGED, (2, "Staging", "Production", "2026-03-17", "ada", "ok"))),
    )
    assert tell_approval(both) == "Approved by ada and admin."


def test_headings_and_names_tell_models_apart(page_of_three):
    levels = [int(tag[1]) for tag, _ in page_of_three.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    labels = [of["aria-label"] for _, of in page_of_three.elements if of.get("role") == "region"]
    assert len(labels) == len(set(labels)) == 3 * 2 + 5
    assert "Drift by feature and night of fraud, scrolls sideways" in labels


def schemes() -> dict[str, dict[str, str]]:
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in root_blocks())
    assert set(light) == set(dark)
    return {"light": light, "dark": dark}


def root_blocks() -> list[str]:
    blocks = re.findall(r":root \{(.*?)\}", TEMPLATE, flags=re.DOTALL)
    assert len(blocks) == 2
    return blocks


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXT = [(ink, ground) for ink in ("ink", "quiet", "link", "on-fail") for ground in ("page", "surface")] + [
    (f"on-{name}", name)
    for name in (
        "hold", "retrain", "veto", "pass", "fail", "unknown", "stable", "moderate", "significant", "alarm",
    )
]  # fmt: skip
GRAPHICS = [(name, ground) for name in ("control", "bar") for ground in ("page", "surface")]
# Hairlines between rows say nothing that their gaps don't.
DECORATION = {"line"}


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [pytest.param(*pair, 4.5, id="/".join(pair)) for pair in TEXT]
    + [pytest.param(*pair, 3.0, id="/".join(pair)) for pair in GRAPHICS],
)
def test_contrast_meets_wcag_aa(scheme: str, ink: str, ground: str, least: float):
    colours = schemes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= least


def test_every_colour_is_held_to_a_contrast():
    held = {name for pair in (*TEXT, *GRAPHICS) for name in pair} | DECORATION
    assert set(schemes()["light"]) == held
    style = TEMPLATE.split("<style>")[1].split("</style>")[0]
    rules = style.split("* { box-sizing")[1]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b", rules), "a rule names its colour by a property"
    assert set(re.findall(r"var\(--([a-z-]+)\)", rules)) <= held
