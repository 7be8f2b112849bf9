"""Alerts go over Airflow's connections to real servers: once, again after a failure, and without a secret in a log."""

from __future__ import annotations

import json
import logging
import socketserver
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from airflow.sdk import BaseHook

from include.adapters.state.state_store import StateStoreAdapter
from include.errors import RefusedError, UsageError
from include.monitoring.alerts import Finding, Look, untold
from include.monitoring.missed_nights import Hole, MissedNight
from include.steps.night_status import NightStatus
from include.steps.watch_nights import watch_nights
from mlops.alerts import MissingNightsNotifier, make_notifier, send_untold

DAY, NEXT = "2026-03-01", "2026-03-02"
TOKEN = "T0KEN-that-lets-post"
HOLE = Hole("model", "churn", MissedNight(DAY, "scores", "score_batch__churn did not run"))


class Inbox(BaseHTTPRequestHandler):
    """Takes what is posted; answers with the status that its server was given, and what else it has to say."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        with suppress(OSError):
            for part in self.server.says:
                self.wfile.write(part)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Dripping(BaseHTTPRequestHandler):
    """Takes a connection, and never comes to the end of its first header."""

    def handle(self) -> None:
        with suppress(OSError):
            for byte in self.server.drip():
                self.wfile.write(byte)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as one message takes."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.taken.append(text.decode())
            self.wfile.write(b"250 done\r\n")


def serve(server_class, handler) -> Iterator[SimpleNamespace]:
    with server_class(("127.0.0.1", 0), handler) as server:
        server.taken, server.status, server.says = [], 200, ()
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def inbox() -> Iterator[HTTPServer]:
    yield from serve(HTTPServer, Inbox)


@pytest.fixture
def mailbox() -> Iterator[socketserver.TCPServer]:
    yield from serve(socketserver.TCPServer, Mailbox)


def chat(port: int, kind: str = "http", token: str = TOKEN) -> dict[str, str]:
    """Return the connection to a webhook: of a type of Airflow's, or Slack's with a whole address as its password."""
    services = f"http://127.0.0.1:{port}/services"
    return {
        "http": {"conn_type": "http", "host": f"{services}/{token}"},
        "slackwebhook": {"conn_type": "slackwebhook", "host": services, "password": token},
        "address": {"conn_type": "slackwebhook", "password": f"{services}/{token}"},
    }[kind]


def connect(monkeypatch, connection_id, **fields) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(fields))


@pytest.fixture
def deployment(state_database, monkeypatch, inbox, mailbox) -> SimpleNamespace:
    """An alert that is open, a webhook that fails or not, and a mailbox behind it."""
    port, mail_port = inbox.server_address[1], mailbox.server_address[1]
    connect(monkeypatch, "chat", **chat(port))
    mail = {"from_email": "mlops@example.org", "to": "ada@example.org", "disable_ssl": True, "disable_tls": True}
    connect(monkeypatch, "mail", conn_type="smtp", host="127.0.0.1", port=mail_port, extra={**mail, "timeout": 5})
    monkeypatch.setenv("MLOPS_DATABASE_URL", state_database)
    monkeypatch.setenv("MLOPS_ALERTS", "chat,mail")
    made = SimpleNamespace(
        state=StateStoreAdapter(state_database), settings=SimpleNamespace(alert_connections=("chat", "mail"))
    )
    look(made, DAY, Finding("drift", ("3 of the last 5 nights <showed> a shift",)))
    return made


def look(deployment, night, *findings) -> None:
    deployment.state.record_look(
        "churn", Look(findings), partition=night, decision="hold: cooldown", link=lambda _: "http://airflow/dags/x"
    )


def test_each_connection_gets_what_begins_and_what_is_over_once(deployment, inbox, mailbox):
    for _ in range(2):
        send_untold(deployment, ["churn"], night=NEXT)
    look(deployment, NEXT)
    for _ in range(2):
        send_untold(deployment, ["churn"], night=NEXT)
    assert [(path, body["state"], body["kind"]) for path, body in inbox.taken] == [
        (f"/services/{TOKEN}", "raised", "drift"),
        (f"/services/{TOKEN}", "resolved", "drift"),
    ]
    assert "decided: hold: cooldown\nhttp://airflow/dags/x" in inbox.taken[0][1]["text"]
    mails = [message_from_string(text) for text in mailbox.taken]
    assert [mail["To"] for mail in mails] == ["ada@example.org"] * 2
    assert [mail["Subject"].startswith(f"[churn] {said}") for mail, said in zip(mails, (DAY, "over"), strict=True)]
    html = mails[0].get_payload()[0].get_payload(decode=True).decode()
    assert "&lt;showed&gt;" in html


@pytest.mark.parametrize("how", ["refuses at length", "sends elsewhere", "is gone"])
@pytest.mark.parametrize("kind", ["http", "slackwebhook"])
def test_a_connection_that_fails_is_told_the_next_night_and_holds_up_no_other(
    deployment, inbox, mailbox, monkeypatch, caplog, how, kind
):
    inbox.status = {"refuses at length": 500, "sends elsewhere": 302}.get(how, 200)
    inbox.says = [b"x" * 1_000_000] * 10
    connect(monkeypatch, "chat", **chat(1 if how == "is gone" else inbox.server_address[1], kind))
    with caplog.at_level(logging.DEBUG, logger="mlops"):
        send_untold(deployment, ["churn"], night=NEXT)
    said = "connection chat answers 302" if how == "sends elsewhere" else "did not get through to connection chat"
    assert said in caplog.text
    assert len(caplog.text) < 10_000
    assert TOKEN not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("mlops"))
    assert len(mailbox.taken) == 1
    assert len(inbox.taken) == (how != "is gone")
    inbox.status, before = 200, len(inbox.taken)
    connect(monkeypatch, "chat", **chat(inbox.server_address[1], kind))
    send_untold(deployment, ["churn"], night=NEXT)
    assert (len(inbox.taken) - before, len(mailbox.taken)) == (1, 1)
    path, body = inbox.taken[-1]
    assert (path, "3 of the last 5 nights" in body["text"]) == (f"/services/{TOKEN}", True)


@pytest.mark.parametrize("kind", ["http", "slackwebhook"])
def test_a_connection_that_answers_without_end_holds_up_nothing_and_is_told_whole_when_it_is_up(
    deployment, inbox, mailbox, monkeypatch, caplog, kind
):
    connect(monkeypatch, "chat", **chat(inbox.server_address[1], kind))
    is_up = Event()

    def drip() -> Iterator[bytes]:
        while not is_up.wait(0.05):
            yield b"."

    inbox.status, inbox.RequestHandlerClass = 200, Dripping
    inbox.drip = drip
    with caplog.at_level(logging.WARNING, logger="mlops"):
        send_untold(deployment, ["churn"], night=DAY, seconds=0.5)
    assert "connection chat has not taken its alerts within 0.5 seconds" in caplog.text
    assert len(mailbox.taken) == 1
    is_up.set()
    inbox.RequestHandlerClass = Inbox
    look(deployment, NEXT)
    for _ in range(2):
        send_untold(deployment, ["churn"], night=NEXT)
    told = [(path, "nothing of it had got through" in body["text"]) for path, body in inbox.taken]
    assert told == [(f"/services/{TOKEN}", True)]
    assert len(mailbox.taken) == 2


def test_what_airflows_own_hook_logs_of_a_webhook_hides_its_token(deployment, monkeypatch):
    from airflow.sdk.log import redact

    in_query, address = "S1gnature+of/a-workflow", f"/services/{TOKEN}?sv=1&sig="
    connect(monkeypatch, "chat", conn_type="http", host=f"http://127.0.0.1:1{address}{in_query}")
    send_untold(deployment, ["churn"], night=NEXT)
    hidden = str(redact(f"Max retries exceeded with url: {address}{in_query}"))
    assert TOKEN not in hidden
    assert in_query not in hidden


@pytest.mark.parametrize("kind", ["slackwebhook", "address"])
def test_what_is_logged_of_a_slack_connection_hides_its_token(deployment, inbox, monkeypatch, caplog, kind):
    from airflow.sdk.log import redact

    token = f"{kind}-t0ken"
    connect(monkeypatch, "chat", **chat(inbox.server_address[1], kind, token))
    with caplog.at_level(logging.DEBUG):
        send_untold(deployment, ["churn"], night=NEXT)
    assert [path for path, _ in inbox.taken] == [f"/services/{token}"]
    assert token in caplog.text
    assert token not in str(redact(caplog.text))


@pytest.mark.parametrize(("host", "shown"), [("hooks.slack.com", "&lt;showed&gt;"), ("chat.example.org", "<showed>")])
def test_slack_is_told_words_and_no_markup_of_its_own(deployment, monkeypatch, host, shown):
    connect(monkeypatch, "chat", conn_type="http", host=f"https://{host}/services/{TOKEN}")
    message = next(untold(deployment.state.alerts("churn"), "chat", night=NEXT))
    assert f"nights {shown} a shift" in make_notifier(BaseHook.get_connection("chat"), message).json["text"]
    connect(monkeypatch, "chat", **chat(1, "slackwebhook"))
    assert "nights &lt;showed&gt; a shift" in make_notifier(BaseHook.get_connection("chat"), message).text


WRONG = {
    "a type that is none": ({"conn_type": "ftp"}, "is of type 'ftp'; allowed: http, smtp, slackwebhook"),
    "mail to nobody": ({"conn_type": "smtp", "host": "x"}, "does not say whom to write to: extra.to"),
    "Slack without a token": ({"conn_type": "slackwebhook"}, "has no password, which is Slack's webhook token"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_connection_that_can_not_be_used_says_why_and_fails_nothing(deployment, monkeypatch, caplog, case):
    fields, said = WRONG[case]
    connect(monkeypatch, "chat", **fields)
    message = next(untold(deployment.state.alerts("churn"), "chat", night=NEXT))
    with pytest.raises(UsageError, match=said):
        make_notifier(BaseHook.get_connection("chat"), message)
    with caplog.at_level(logging.WARNING, logger="mlops"):
        send_untold(deployment, ["churn"], night=NEXT)
    assert "is not sent" in caplog.text


def test_a_connection_that_there_is_not_fails_nothing(deployment, monkeypatch, mailbox):
    monkeypatch.delenv("AIRFLOW_CONN_CHAT")
    send_untold(deployment, ["churn"], night=NEXT)
    assert len(mailbox.taken) == 1


def watched(deployment, night, *holes) -> None:
    """End the task of `watch_nights` as Airflow does: with its callback."""
    deployment.state.record_holes(holes, until=night, run_id=f"run {night}")
    task = SimpleNamespace(dag_id="watch_nights", log_url="http://airflow/dags/watch_nights/runs/x/tasks/watch")
    run = SimpleNamespace(run_id=f"run {night}", partition_key=night)
    MissingNightsNotifier()({"ti": task, "dag_run": run})


def test_missing_nights_are_told_once_with_a_link_and_again_when_they_are_there(deployment, inbox):
    watched(deployment, DAY, HOLE)
    watched(deployment, NEXT, HOLE)
    watched(deployment, NEXT)
    told = [(body["about"], body["state"], body["link"]) for _, body in inbox.taken]
    link = f"http://airflow/dags/watch_nights/runs/run%20{DAY}"
    assert told == [("nights of model churn", state, link) for state in ("raised", "resolved")]
    assert "not scored" in inbox.taken[0][1]["text"]


def test_nights_that_are_to_come_are_not_missing(deployment):
    with pytest.raises(UsageError, match="9999-12-31 is later than today"):
        watch_nights(deployment, until="9999-12-31", run_id="by hand")
    assert deployment.state.night_incidents() == ()


def test_a_night_is_not_over_because_nobody_could_look(deployment, monkeypatch, tmp_path):
    """A file that does not stand takes its nights out of the grid, and those of groups that only it reads."""
    grids = iter([[HOLE], [], []])
    monkeypatch.setattr(
        "include.steps.watch_nights.read_night_status", lambda *_, **__: NightStatus((), (), next(grids))
    )
    with pytest.raises(RefusedError):
        watch_nights(deployment, until=DAY, run_id="first")
    (tmp_path / "churn.yaml").write_text("seed: none")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    assert watch_nights(deployment, until=DAY, run_id="broken") == {"open": 1, "ended": 0}
    monkeypatch.delenv("MLOPS_SPECS")
    assert watch_nights(deployment, until=DAY, run_id="mended") == {"open": 0, "ended": 1}
