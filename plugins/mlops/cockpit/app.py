"""The web app that Airflow mounts at ``/mlops``: what a task's links open.

What belongs here: routes, who may see them, and HTML. What does not: anything that computes or writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread

from airflow.api_fastapi.core_api.security import requires_access_asset
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from mlops.cockpit import monitoring
from mlops.cockpit.pages import PAGES, SEALED, tell_instead

PREFIX = "/mlops"


@asynccontextmanager
async def _read_ahead(_: FastAPI) -> AsyncIterator[None]:
    """Import what pages read with, beside the start of the API server: the first visitor does not wait for it."""
    Thread(target=monitoring.read_ahead, daemon=True).start()
    yield


# A route without this dependency would be open to anybody: Airflow adds none by itself.
app = FastAPI(title="MLOps", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_read_ahead)
_may_read = [Depends(requires_access_asset("GET"))]
app.include_router(monitoring.router)


@app.get("/quality/{group}/{partition}", dependencies=_may_read, response_class=HTMLResponse)
def show_quality(group: str, partition: str) -> HTMLResponse:
    """Show the quality gate's report of the build that ended with a partition."""
    from include.adapters.deployment import Deployment
    from include.errors import MlopsError
    from include.views.partition_reports import read_group_report

    try:
        found = read_group_report(Deployment.from_env(), group, partition)
    except MlopsError as err:
        status, told = tell_instead(err)
        page = PAGES.get_template("missing.html.j2").render(title=f"{group} {partition}", message=told)
        return HTMLResponse(page, status_code=status, headers=SEALED)
    page = PAGES.get_template("quality.html.j2").render(report=found.report, spec=found.spec)
    return HTMLResponse(page, headers=SEALED)
