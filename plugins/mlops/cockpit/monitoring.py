"""The page of a model's monitoring, and the JSON that it draws.

What belongs here: routes, all of which only read, and how an answer is sent. What does not: what is in it
(``include.views.monitoring_page``), and drawing, which is JavaScript's beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from mlops.cockpit.access import may_read, require_model
from mlops.cockpit.pages import PAGES, SEALED, tell_broken, tell_instead

router = APIRouter()

_FILES = {
    **dict.fromkeys(("monitoring.css", "page.css"), "text/css"),
    **dict.fromkeys(("monitoring.js", "heat_map.js", "series.js", "words.js"), "text/javascript"),
}


@router.get("/monitoring/", response_class=HTMLResponse)
def show_models(request: Request, user: GetUserDep) -> Response:
    """Show the first model that somebody may see, and the names of the others."""
    return _show(request, user)


@router.get("/monitoring/{model_id}", response_class=HTMLResponse, dependencies=[Depends(require_model)])
def show_model(model_id: str, request: Request, user: GetUserDep, until: str | None = None) -> Response:
    """Show a model's year that ends with a night, or with the newest."""
    return _show(request, user, model_id, until=until)


@router.get("/monitoring/{model_id}/year.json", dependencies=[Depends(require_model)])
def send_year(model_id: str, until: str | None = None) -> Response:
    """Send what the page of a model draws, of the year that ends with a night, or with the newest."""
    from include.adapters.deployment import Deployment
    from include.views.monitoring_page import read_page

    return _send(lambda: read_page(Deployment.from_env(), model_id, until=until))


@router.get("/monitoring/{model_id}/nights/{partition}.json", dependencies=[Depends(require_model)])
def send_night(model_id: str, partition: str) -> Response:
    """Send all that was measured of a night."""
    from include.adapters.deployment import Deployment
    from include.views.monitoring_page import read_night

    return _send(lambda: read_night(Deployment.from_env(), model_id, partition))


@router.get("/monitoring-files/{name}", dependencies=[Depends(get_user)])
def send_file(name: str) -> Response:
    """Send one of the files that the page is made of."""
    if name not in _FILES:
        return Response(status_code=404, headers=SEALED)
    return Response(Path(__file__).with_name(name).read_bytes(), media_type=_FILES[name], headers=SEALED)


def read_ahead() -> None:
    """Import what the page reads with, and read the specs once; no connection is opened."""
    from include.views.monitoring_page import list_monitored

    list_monitored()


def _show(request: Request, user: BaseUser, model_id: str | None = None, *, until: str | None = None) -> Response:
    from include.errors import MlopsError
    from include.views.monitoring_page import list_monitored

    try:
        models = [each for each in list_monitored() if may_read(each, request, user)]
    except MlopsError as err:
        told = {"title": "Model monitoring", "message": tell_broken(err), "files": "../monitoring-files"}
        return HTMLResponse(PAGES.get_template("missing.html.j2").render(told), status_code=503, headers=SEALED)
    html = PAGES.get_template("monitoring.html.j2").render(
        models=models, shown=model_id if model_id is not None else next(iter(models), None), until=until
    )
    return HTMLResponse(html, headers=SEALED)


def _send(read: Callable[[], Any]) -> Response:
    """Send what is read as JSON; what a person is told instead where it can't be read."""
    import msgspec

    from include.errors import MlopsError

    try:
        status, sent = 200, read()
    except MlopsError as err:
        status, told = tell_instead(err)
        sent = {"message": told}
    return Response(msgspec.json.encode(sent), status_code=status, media_type="application/json", headers=SEALED)
