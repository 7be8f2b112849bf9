"""The templates that the cockpit's pages are made of, and how every page is sent.

What belongs here: how they are loaded: every value is escaped, a name that is not there is an error. The headers that
keep a page to itself, and what is told in the place of what can't be shown.
"""

from __future__ import annotations

import logging
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.errors import MlopsError, UsageError

log = logging.getLogger(__name__)

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)

# Nothing from another host, nothing inline, nothing sent anywhere; framed by Airflow's own pages alone.
SEALED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def tell_instead(err: MlopsError) -> tuple[int, str]:
    """Return the status and the words in place of what can't be shown; where it is and what broke is logged."""
    return (404, str(err)) if isinstance(err, UsageError) else (503, tell_broken(err))


def tell_broken(err: MlopsError) -> str:
    """Return the words in place of what can't be shown whatever is asked for, and log what broke."""
    log.error("a page of the cockpit: %s", err)
    return (
        "what is asked for can't be read now, as what holds it can't be reached or is damaged; "
        "the log of the API server says where and why"
    )
