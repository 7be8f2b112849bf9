"""What a format makes of a file's columns: exactly what its expression says, by the source's clock, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from include.adapters.deployment import Deployment
from include.errors import UnreadableInputError
from include.settings import Settings
from include.specs.sources import load_source
from include.steps.account_source import ImportAccount
from include.steps.find_person import find_person, find_rows
from include.steps.import_source import import_file

Take = Callable[..., tuple[ImportAccount, dict[str, object]]]
ID, INT, FLOAT, TIME = "id", "int64", "float64", "timestamp"


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Import one row of a source with a format; return its account and the row that is published."""

    def run(columns: dict[str, str], given: dict[str, tuple[str, str]], **more: object) -> tuple[ImportAccount, dict]:
        spec = {
            "source": "tills", "description": "d", "owner": "o", "key": ["till"], "event_time": "sold_at",
            "people": {"person": None},
            "columns": [
                {"name": name, "type": kind, "required": False, "meaning": "m"}
                for name, kind in {"till": ID, "sold_at": TIME, "pieces": INT, "value": FLOAT}.items()
            ],
            "rules": [
                {"name": f"{name}_missing", "kind": "not_null", "column": name, "reason": "r"}
                for name in ("till", "sold_at")
            ],
            "formats": {
                "till": {
                    "columns": columns,
                    "file_columns": [{"name": name, "type": kind} for name, (kind, _) in given.items()],
                }
            },
        }  # fmt: skip
        path = tmp_path / "specs" / "sources" / "tills.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(spec | more))
        monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
        file = tmp_path / "till.csv"
        file.write_text(f"{','.join(given)}\n{','.join(value for _, value in given.values())}\n")
        deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / "home")}))
        as_of = datetime(2026, 4, 1, tzinfo=UTC)
        account = import_file(deployment, file, source="tills", file_format="till", as_of=as_of)
        return account, deployment.lake.read("raw/tills").to_pylist()[0]

    return run


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("strptime(concat(day, ' ', clock), '%d.%m.%Y %H:%M')", {"day": (ID, "01.03.2026"), "clock": (ID, "23:30")}),
        ("concat(day, ' ', clock)", {"day": (ID, "2026-03-01"), "clock": (ID, "23:30")}),
        ("day", {"day": (ID, "2026-03-01 23:30:00")}),
        ("make_timestamp(year, 3, 1, 23, 30, 0)", {"year": (INT, "2026")}),
        ("day + INTERVAL 30 MINUTE", {"day": (TIME, "2026-03-01 23:00")}),
        ("day", {"day": (TIME, "2026-03-01 23:30")}),
        ("at", {"at": (TIME, "2026-03-01 23:30")}),
        ("concat(day, 'T', clock)", {"day": (ID, "2026-03-01"), "clock": (ID, "23:30:00-05:00")}),
        ("to_timestamp(seconds)", {"seconds": (INT, "1772425800")}),
        ("at -- as the till has it", {"at": (TIME, "2026-03-02T04:30:00Z")}),
    ],
)
def test_a_time_that_names_no_zone_is_of_the_sources_clock(
    take: Take, expression: str, given: dict[str, tuple[str, str]]
) -> None:
    _, row = take({"till": "nr", "sold_at": expression}, {"nr": (ID, "a"), **given}, time_zone="America/New_York")
    assert row["sold_at"] == datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "kind", "written", "wanted"),
    [
        ("n", FLOAT, "3", 3), ("n", ID, "9007199254740993", 2**53 + 1), ("n * 1", INT, "9007199254740993", 2**53 + 1),
        ("right(n, 2)", ID, "x25", 25), ("n / 2", INT, "6", 3), ("n", ID, "", None),
    ],
)  # fmt: skip
def test_a_whole_number_is_kept(take: Take, expression: str, kind: str, written: str, wanted: int | None) -> None:
    given = {"nr": (ID, "a"), "day": (TIME, "2026-03-01"), "n": (kind, written)}
    assert take({"till": "nr", "sold_at": "day", "pieces": expression}, given)[1]["pieces"] == wanted


@pytest.mark.parametrize(
    ("target", "expression", "kind", "written", "told"),
    [
        ("pieces", "n", FLOAT, "2.5", "pieces is no whole number: 2.5"),
        ("pieces", "n", ID, "2.5", "pieces is no whole number: 2.5"),
        ("pieces", "n / 2", INT, "5", "pieces is no whole number: 2.5"),
        ("pieces", "n * n", INT, "9007199254740993", "9007199254740993"),
        ("value", "n", INT, "9007199254740993", "value is no number that a float holds: 9007199254740993"),
        ("value", "n", ID, "much", "much"),
        ("sold_at", "strptime(n, '%d.%m.%Y')", ID, "soon", "soon"),
    ],
)
def test_what_can_not_be_kept_exactly_refuses_the_file(
    take: Take, target: str, expression: str, kind: str, written: str, told: str
) -> None:
    given = {"nr": (ID, "a"), "day": (TIME, "2026-03-01"), "n": (kind, written)}
    with pytest.raises(UnreadableInputError) as caught:
        take({"till": "nr", "sold_at": "day", target: expression}, given)
    assert told in str(caught.value)
    assert "what format till of tills makes of it" in str(caught.value)


def test_what_is_counted_may_have_any_name(take: Take) -> None:
    names = ("rows", "day", "file", "night", "rule", "select")
    account, _ = take(
        {"till": "nr", "sold_at": "day", "value": "n"},
        {"nr": (ID, "a"), "day": (TIME, "2026-03-01"), "n": (FLOAT, "1")},
        counted={name: {"column": "value", "is": 1} for name in names},
    )
    assert account.counted == dict.fromkeys(names, 1)


CARDS = """
formats:
  cards:
    file_columns:
      - {name: 'Karte "1" Nr', type: id}
      - {name: shop, type: int64}
      - {name: bon, type: id}
      - {name: at, type: timestamp}
      - {name: pieces, type: int64}
    columns:
      customer_id: upper(trim("Karte ""1"" Nr", '*'))
      order_id: concat_ws('-', shop + 1, bon)
      ordered_at: at
      line: "1"
      quantity: pieces
      unit_price: "1"
"""


def test_a_person_whom_a_format_names_by_an_expression_is_found_among_what_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "specs" / "sources").mkdir(parents=True)
    (tmp_path / "specs" / "sources" / "orders.yaml").write_text(CARDS)
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
    file = tmp_path / "cards.csv"
    lines = [
        "*ada*,1,7,2026-03-01,1",  # taken: ada has the order 2-7
        "ada,1,8,2026-03-01,-1",
        "bob,1,7,2026-03-01,-1",
        ",1,7,2026-03-01,1",
        ",2,7,2026-03-01,1",
        "ADA*,1,9,,1",
    ]
    file.write_text('"Karte ""1"" Nr",shop,bon,at,pieces\n' + "\n".join(lines) + "\n")
    deployment, spec = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / "home")})), load_source("orders")
    import_file(deployment, file, source="orders", file_format="cards", as_of=datetime(2026, 4, 1, tzinfo=UTC))
    person = find_person(deployment.lake, spec, "ADA")
    aside = deployment.lake.dataset(spec.quarantine.name)
    assert aside.count_rows() == 5
    assert len(find_rows(person, aside, spec.quarantine)) == 3
