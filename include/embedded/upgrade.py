"""What the databases of a home were brought to, and bringing those that are behind to what the code expects.

What belongs here: which database is behind, written down in the home. What does not: the steps themselves (`deploy`),
and roles (`databases`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from include.embedded.environment import owner_environment
from include.embedded.home import EmbeddedHome
from include.errors import MlopsError
from include.home import write_private
from include.settings import PROJECT_ROOT, Settings, embedded_database_url

AIRFLOW = "airflow"
# Each by how a person knows it.
NAMES = {AIRFLOW: "Airflow", "mlflow": "MLflow", "feast": "Feast", "state": "our state"}
_DEPLOYED_BY = ("feature_repo", "include/adapters", "include/config/features", "include/config/services", "uv.lock")
# What an overlay adds to what the code declares.
_DECLARED = ("features", "services")


def addresses(settings: Settings) -> dict[str, tuple[str | None, ...]]:
    """Return where each of them is, by the names of `NAMES`."""
    return {
        AIRFLOW: (embedded_database_url(settings.home, "airflow"),),
        "mlflow": (settings.mlflow_tracking_uri,),
        "feast": (settings.feast_registry_url, settings.feast_online_url),
        "state": (settings.database_url, settings.state_owner_url),
    }


class Upgrade:
    """The databases of a home, and how far each of them is.

    Parameters
    ----------
    home : EmbeddedHome
        Its server runs.
    settings : Settings
        Where the databases are.
    """

    def __init__(self, home: EmbeddedHome, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self._stamps_file = home.home / "run" / "deployed.json"

    def bring(self, names: Sequence[str], env: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Bring those of `names` that are behind to what the code expects.

        Raises
        ------
        MlopsError
            If a step fails; the message ends with its own last words.
        """
        stamps, wanted = self._stamps(), self._wanted()
        behind = [name for name in names if stamps.get(name) != wanted[name]]
        if not behind:
            return
        told = [NAMES[name] for name in behind]
        say(f"preparing {_join(told)} (once, about a minute)")
        self._run(behind, env)
        brought = {name: wanted[name] for name in behind}
        write_private(self._stamps_file, json.dumps({**stamps, **brought}))

    def _run(self, behind: Sequence[str], env: Mapping[str, str]) -> None:
        ours = [name for name in behind if name != AIRFLOW]
        steps = {
            **({"deploy-airflow": ["airflow", "db", "migrate"]} if AIRFLOW in behind else {}),
            **({"deploy-state": ["include.embedded.deploy", *ours]} if ours else {}),
        }
        processes, as_owner = self.home.processes, {**env, **owner_environment(self.settings)}
        running = {
            name: processes.spawn(name, [sys.executable, "-m", *words], as_owner) for name, words in steps.items()
        }
        for name, process in running.items():
            if code := process.wait():
                log = processes.log(name)
                raise MlopsError(f"{name} failed (exit {code}); its last words: {tail(log)}; the whole log is {log}")

    def _stamps(self) -> dict[str, str]:
        if not self._stamps_file.exists():
            return {}
        stamps: dict[str, str] = json.loads(self._stamps_file.read_text())
        return stamps

    def _wanted(self) -> dict[str, str]:
        """Return what each depends on: the code, where it is, and when the server's data were made."""
        code = _code_digest(self.settings.specs_overlay)
        born = (self.home.postgres.data_dir / "PG_VERSION").stat().st_mtime_ns
        return {
            name: hashlib.sha256(repr((code, born, where)).encode()).hexdigest()
            for name, where in addresses(self.settings).items()
        }


def _code_digest(overlay: Path | None) -> str:
    """Return a digest of the code that the deploy step runs and of what it declares, with the overlay of specs."""
    sha = hashlib.sha256()
    added = [overlay / name for name in _DECLARED] if overlay is not None else []
    for root in [*(PROJECT_ROOT / name for name in _DEPLOYED_BY), *added]:
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in (".py", ".yaml", ".sql"))
        for path in files:
            sha.update(path.read_bytes())
    return sha.hexdigest()


def tail(log: Path, lines: int = 3) -> str:
    """Return the last lines of a log in one."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) if log.exists() else "none"


def _join(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
