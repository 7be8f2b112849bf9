"""Alerts by Airflow's notifiers, over the connections that ``MLOPS_ALERTS`` names.

What belongs here: Airflow's side of an alert: the callbacks of tasks, links, connections, sending. What does not: which
alerts there are (``steps.raise_alerts``), and their words (``monitoring.alerts``).

The callbacks run in the process of a task that has ended, so that an alert costs no process of its own. Airflow gives
them twenty seconds (``task_success_overtime``). Each connection has a thread, and they have twelve seconds together:
what has not got through by then is sent with the next night, however slowly somebody answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import UTC, datetime
from html import escape
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import ParseResult, quote, urlparse

from airflow.sdk import BaseHook, BaseNotifier
from airflow.sdk.log import mask_secret

from include import partitions
from include.errors import MlopsError, UsageError

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context
    from requests import Response

    from include.adapters.deployment import Deployment
    from include.monitoring.alerts import Finding, Message

log = logging.getLogger(__name__)

# Of what a connection does not answer to at all, and of all connections together, however slowly they answer.
_SILENCE_S, _TOGETHER_S = 5, 12
# A part of a webhook's path, or a value of its query, that is as long as this lets whoever knows it post.
_TOKEN_LENGTH_MIN = 8
# Whose incoming webhooks take what stands between < and > for a link, or for everybody in a channel.
_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")


class AlertNotifier(BaseNotifier):
    """Raise, keep or end the alerts of a model, and send what its connections have not been told.

    Parameters
    ----------
    model_id : str
        The model's spec.
    """

    def __init__(self, model_id: str) -> None:
        super().__init__()
        self.model_id = model_id

    def notify(self, context: Context) -> None:
        """Look at the night that the task has decided on."""
        from include.adapters.deployment import Deployment
        from include.steps.raise_alerts import raise_alerts

        deployment, day = Deployment.from_env(), partitions.resolve(context)
        raise_alerts(deployment, self.model_id, partition=day, now=datetime.now(UTC), link=_links(context))
        send_untold(deployment, [self.model_id], night=day)


class MissingNightsNotifier(BaseNotifier):
    """Raise, keep or end the alerts of nights that are missing, and send what the connections have not been told."""

    def notify(self, context: Context) -> None:
        """Look at the incidents that the task has recorded."""
        from include.adapters.deployment import Deployment
        from include.steps.raise_alerts import raise_missing

        deployment, day = Deployment.from_env(), partitions.resolve(context)
        send_untold(deployment, raise_missing(deployment, partition=day, link=_links(context)), night=day)


def send_untold(deployment: Deployment, abouts: Collection[str], *, night: str, seconds: float = _TOGETHER_S) -> None:
    """Send each connection what it has not been told of models or groups; one that fails is left for the next night.

    A message whose sender is killed, or whose time is over, before that is recorded is sent once more.

    Parameters
    ----------
    abouts : collection of str
    night : str
        The one that was looked at.
    seconds : float
        What all connections have together, side by side.
    """
    until = monotonic() + seconds
    senders = {
        connection_id: Thread(target=_send, args=(deployment, abouts, night, connection_id), daemon=True)
        for connection_id in deployment.settings.alert_connections
    }
    for sender in senders.values():
        sender.start()
    for connection_id, sender in senders.items():
        sender.join(max(until - monotonic(), 0))
        if sender.is_alive():
            told = "connection %s has not taken its alerts within %g seconds; what is left is sent with the next night"
            log.warning(told, connection_id, seconds)


def _send(deployment: Deployment, abouts: Collection[str], night: str, connection_id: str) -> None:
    from include.monitoring.alerts import untold

    waiting = [
        message for about in abouts for message in untold(deployment.state.alerts(about), connection_id, night=night)
    ]
    for message in waiting:
        try:
            make_notifier(BaseHook.get_connection(connection_id), message).notify({})
        except MlopsError as err:
            log.warning("alert %r is not sent: %s", message.title, err)
            return
        # Whatever a provider raises, the night has not failed; what it says may hold a webhook's address.
        except Exception as err:
            told = "alert %r did not get through to connection %s (%s); it is sent with the next night"
            log.warning(told, message.title, connection_id, type(err).__name__)
            return
        deployment.state.record_message(message, connection_id)


def make_notifier(connection: Connection, message: Message) -> BaseNotifier:
    """Return the notifier of a connection's type, with a message.

    Raises
    ------
    UsageError
        If the connection's type is none that alerts go over, or it does not say where to.
    """
    makers: dict[str, Callable[[Connection, Message], BaseNotifier]] = {
        "http": _webhook,
        "smtp": _email,
        "slackwebhook": _slack,
    }
    if connection.conn_type not in makers:
        raise UsageError(
            f"MLOPS_ALERTS: connection {connection.conn_id} is of type {connection.conn_type!r}; allowed: "
            f"{', '.join(makers)}"
        )
    return makers[connection.conn_type](connection, message)


def _webhook(connection: Connection, message: Message) -> BaseNotifier:
    from airflow.providers.http.notifications.http import HttpNotifier

    class Webhook(HttpNotifier):
        """Airflow's, but that nothing is read of an answer, and that one which sends elsewhere has taken nothing."""

        def notify(self, context: Context) -> None:
            _must_have_taken(connection, self.hook.run(self.endpoint, json=self.json, extra_options=self.extra_options))

    address = _masked(connection.host or "")
    alert = message.alert
    told = {
        # What the incoming webhooks of chats read.
        "text": _as_slack_reads_it(message.text) if address.hostname in _SLACK else message.text,
        "about": alert.about,
        "kind": alert.kind,
        "state": "resolved" if message.is_over else "raised",
        "since": alert.since,
        "over_on": alert.over_on,
        "link": alert.link,
    }
    options = {"timeout": _SILENCE_S, "stream": True, "check_response": False, "allow_redirects": False}
    return Webhook(http_conn_id=connection.conn_id, json=told, extra_options=options)


def _email(connection: Connection, message: Message) -> BaseNotifier:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    to = connection.extra_dejson.get("to")
    if not to:
        raise UsageError(f"MLOPS_ALERTS: connection {connection.conn_id} does not say whom to write to: extra.to")
    body = f"<pre>{escape(message.text)}</pre>"
    return SmtpNotifier(to=to, subject=message.title, html_content=body, smtp_conn_id=connection.conn_id)


def _slack(connection: Connection, message: Message) -> BaseNotifier:
    import requests
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    class Slack(SlackWebhookNotifier):
        """Airflow's, but that it posts as a webhook does: Slack's own client tries again, and goes where it is sent."""

        def notify(self, context: Context) -> None:
            client = self.hook.client
            _masked(client.url)
            proxies = {"http": client.proxy, "https": client.proxy} if client.proxy else None
            told = {"text": self.text}
            answer = requests.post(
                client.url, json=told, proxies=proxies, timeout=_SILENCE_S, stream=True, allow_redirects=False
            )
            _must_have_taken(connection, answer)

    if not connection.password:
        raise UsageError(
            f"MLOPS_ALERTS: connection {connection.conn_id} has no password, which is Slack's webhook token"
        )
    return Slack(slack_webhook_conn_id=connection.conn_id, text=_as_slack_reads_it(message.text))


def _masked(url: str) -> ParseResult:
    """Return a webhook's address in its parts; Airflow's logs show none from now on that lets whoever knows it post."""
    address = urlparse(url)
    for part in [*address.path.split("/"), *(pair.partition("=")[2] for pair in address.query.split("&"))]:
        if len(part) >= _TOKEN_LENGTH_MIN:
            mask_secret(part)
    return address


def _must_have_taken(connection: Connection, answer: Response) -> None:
    with closing(answer):
        answer.raise_for_status()
        # Followed, a POST would arrive there as a GET, without the alert.
        if answer.is_redirect:
            raise UsageError(
                f"connection {connection.conn_id} answers {answer.status_code}, that the alert shall go elsewhere; put "
                "the address that it names into the connection"
            )


def _as_slack_reads_it(text: str) -> str:
    return escape(text, quote=False)


def _links(context: Context) -> Callable[[Finding], str]:
    """Return what gives the address of a run's page: the one of a finding, or the one that looks."""
    task, run = context["ti"], context["dag_run"]
    airflow = task.log_url.partition(f"/dags/{task.dag_id}/runs/")[0]

    def link(finding: Finding) -> str:
        return f"{airflow}/dags/{finding.dag_id or task.dag_id}/runs/{quote(finding.run_id or run.run_id)}"

    return link
