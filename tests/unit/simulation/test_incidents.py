from __future__ import annotations

import pytest

from include.errors import UsageError
from include.simulation.incidents import MEANINGS, Incident, parse_incident

DAY = "2026-03-20"

READ = {
    f"price_drift@{DAY}": Incident("price_drift", DAY, 0, 2.0),
    f"price_drift@{DAY}*1.5": Incident("price_drift", DAY, 0, 1.5),
    f"churn_drift@{DAY}": Incident("churn_drift", DAY, 0, 0.1),
    f"campaign@{DAY}*30": Incident("campaign", DAY, 0, 30.0),
    f"unit_error@{DAY}": Incident("unit_error", DAY, 0, 100.0),
    f"unit_error@{DAY}+1*1000": Incident("unit_error", DAY, 1, 1000.0),
    f"missing_customers@{DAY}+3": Incident("missing_customers", DAY, 3, 0.5),
    f"renamed_column@{DAY}+1": Incident("renamed_column", DAY, 1, 0.0),
    f"late_rows@{DAY}": Incident("late_rows", DAY, 2, 0.2),
    f"late_rows@{DAY}+3*0.5": Incident("late_rows", DAY, 3, 0.5),
    f"corrections@{DAY}": Incident("corrections", DAY, 2, 0.1),
    f"missing_day@{DAY}+4": Incident("missing_day", DAY, 4, 0.0),
    f"double_delivery@{DAY}": Incident("double_delivery", DAY, 0, 0.0),
}


@pytest.mark.parametrize(("text", "incident"), READ.items(), ids=READ)
def test_an_incident_is_read_with_its_kinds_defaults(text, incident):
    assert parse_incident(text) == incident


def test_every_kind_is_read_above():
    assert {incident.kind for incident in READ.values()} == set(MEANINGS)


def test_only_what_customers_do_lasts():
    assert {kind for kind in MEANINGS if MEANINGS[kind].lasts} == {"price_drift", "churn_drift", "campaign"}


REFUSED = {
    "not the form": ("late_rows", "'late_rows'", "KIND@DATE[+DAYS][*SIZE]", "late_rows@2026-03-20+3*0.5"),
    "nothing": ("", "''", "KIND@DATE[+DAYS][*SIZE]"),
    "size before days": (f"late_rows@{DAY}*0.5+3", f"'late_rows@{DAY}*0.5+3'", "KIND@DATE[+DAYS][*SIZE]"),
    "negative days": (f"late_rows@{DAY}+-1", f"'late_rows@{DAY}+-1'", "KIND@DATE[+DAYS][*SIZE]"),
    "unknown kind": (f"late_row@{DAY}", "'late_row'", ", ".join(MEANINGS), "did you mean 'late_rows'?"),
    "nothing like a kind": (f"flood@{DAY}", "'flood' is not known", ", ".join(MEANINGS)),
    "no day of the calendar": ("late_rows@2026-02-30", "'2026-02-30'", "not a day of the calendar"),
    "a day in another form": ("late_rows@2026-3-20", "'2026-3-20'", "YYYY-MM-DD"),
    "days where none are": (f"price_drift@{DAY}+2", f"'price_drift@{DAY}+2'", "has no +DAYS", "prices times SIZE"),
    "a size where none is": (f"missing_day@{DAY}*2", f"'missing_day@{DAY}*2'", "has no *SIZE", "comes DAYS later"),
    "late at once": (f"late_rows@{DAY}+0", f"'late_rows@{DAY}+0'", "+DAYS must be at least 1"),
    "corrected at once": (f"corrections@{DAY}+0", f"'corrections@{DAY}+0'", "+DAYS must be at least 1"),
    "missing until today": (f"missing_day@{DAY}+0", f"'missing_day@{DAY}+0'", "+DAYS must be at least 1"),
    "no share": (f"late_rows@{DAY}*0", f"'late_rows@{DAY}*0'", "above 0 and below 1"),
    "the whole as a share": (f"missing_customers@{DAY}*1", "above 0 and below 1"),
    "more than the whole": (f"churn_drift@{DAY}*1.5", "above 0 and below 1"),
    "more digits than days have": (f"late_rows@{DAY}+{'9' * 5000}", "KIND@DATE[+DAYS][*SIZE]"),
    "more digits than a size has": (f"price_drift@{DAY}*{'9' * 400}", "KIND@DATE[+DAYS][*SIZE]"),
    "prices times a billion": (f"price_drift@{DAY}*999999999", "above 0 and at most 1,000,000"),
    "the whole world at once": (f"campaign@{DAY}*1001", "above 0 and at most 1,000"),
    "prices times nothing": (f"price_drift@{DAY}*0", f"'price_drift@{DAY}*0'", "*SIZE must be above 0"),
}


@pytest.mark.parametrize(("text", "words"), [(case[0], case[1:]) for case in REFUSED.values()], ids=REFUSED)
def test_what_is_not_an_incident_is_refused_in_words(text, words):
    with pytest.raises(UsageError) as refused:
        parse_incident(text)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"price_drift@{DAY}*1.5", "from that day on, prices times 1.5"),
        (f"churn_drift@{DAY}", "from that day on, after each order at least 10% leaves, the loyal too"),
        (f"late_rows@{DAY}+1*0.5", "50% of that day's rows comes a day later"),
        (f"missing_day@{DAY}+3", "that day's delivery comes 3 days later"),
        (f"unit_error@{DAY}+1", "that day's prices arrive times 100; right ones a day later"),
        (f"unit_error@{DAY}", "that day's prices arrive times 100"),
        (f"double_delivery@{DAY}", "that day's rows come again the same night"),
    ],
)
def test_an_incident_is_told_with_its_numbers(text, told):
    assert str(parse_incident(text)) == told


@pytest.mark.parametrize("text", [text for text, incident in READ.items() if incident.after_days], ids=str)
def test_what_comes_later_is_told_with_its_day(text):
    told = parse_incident(text).told_later
    assert DAY in told
    assert not set(told.split()) & {"DAY", "DAYS", "SIZE"}
