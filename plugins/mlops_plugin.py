"""What this project adds to Airflow's own pages.

What belongs here: names and registrations. What does not: code of a page or a link, which is in ``mlops``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from mlops.cockpit.app import PREFIX, app
from mlops.operators.feature_store import QualityReportLink


class MlopsPlugin(AirflowPlugin):
    """Pages under ``/mlops``, and the links of our operators."""

    name = "mlops"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [{"app": app, "url_prefix": PREFIX, "name": "MLOps"}]
    # Relative: Airflow may stand beneath a path of its host.
    external_views: ClassVar[list[dict[str, Any]]] = [
        {
            "name": "Model monitoring",
            "href": f"{PREFIX.removeprefix('/')}/monitoring/",
            "url_route": "model-monitoring",
            "destination": "nav",
            "category": "browse",
        }
    ]
    operator_extra_links: ClassVar[list[Any]] = [QualityReportLink()]
