"""The files that deploy the project say the same as the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.embedded.databases import DATABASES, OWNERS
from include.embedded.environment import airflow_environment
from include.embedded.logins import passwords_file
from include.embedded.supervisor import POOLS
from include.settings import PROJECT_ROOT, STATE_OWNER, STATE_OWNER_URL, USERS, Settings

AIRFLOW_SECRETS = ("AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "FERNET_KEY")


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())


def test_containers_set_only_variables_that_the_settings_know(compose):
    source = (PROJECT_ROOT / "include" / "settings.py").read_text()
    known = set(re.findall(r'"((?:MLOPS|MLFLOW)_[A-Z_]+)"', source))
    used = {name for name in compose["x-airflow"]["environment"] if name.startswith(("MLOPS_", "MLFLOW_"))}
    assert used
    assert used <= known


def test_containers_have_the_databases_of_the_embedded_default(compose):
    created = re.findall(r"CREATE DATABASE (\w+) OWNER (\w+);", compose["configs"]["databases"]["content"])
    assert tuple(created) == tuple(OWNERS.items())


def test_containers_reach_each_database_by_its_own_role_and_the_deploy_step_alone_by_the_owner_of_the_state(compose):
    own = re.compile(r"postgresql\+\w+://(\w+):\$\{(\w+)[^}]*\}@postgres/(\w+)")
    urls = {name: own.fullmatch(str(value)) for name, value in compose["x-airflow"]["environment"].items()}
    reached = [found.groups() for found in urls.values() if found]
    assert {(role, database) for role, _, database in reached} == {(name, name) for name in DATABASES}
    assert len({password for _, password, _ in reached}) == len(DATABASES)
    assert STATE_OWNER_URL not in compose["x-airflow"]["environment"]
    given = {name for name, service in compose["services"].items() if STATE_OWNER_URL in service.get("environment", {})}
    assert given == {"deploy"}
    owner = own.fullmatch(compose["services"]["deploy"]["environment"][STATE_OWNER_URL])
    assert (owner[1], owner[3]) == (STATE_OWNER, "state")
    assert owner[2] not in {password for _, password, _ in reached}


def test_containers_speak_to_airflows_own_database_by_the_drivers_of_the_embedded_default(compose, tmp_path):
    laptop = airflow_environment(Settings.from_env({"MLOPS_HOME": str(tmp_path)}), port=1)
    containers = compose["x-airflow"]["environment"]
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"):
        assert containers[name].split(":")[0] == laptop[name].split(":")[0], name


def test_containers_run_the_parts_of_the_embedded_default_and_publish_on_loopback_only(compose):
    assert {"api-server", "scheduler", "dag-processor", "triggerer"} < set(compose["services"])
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_has_a_default(compose):
    text = (PROJECT_ROOT / "docker-compose.yaml").read_text()
    passwords = set(re.findall(r"\$\{(\w+_PASSWORD)", text))
    assert len(passwords) == 2 + len(DATABASES)
    for secret in (*passwords, *AIRFLOW_SECRETS):
        assert f"${{{secret}:?" in text
        assert f"${{{secret}:-" not in text


def test_no_secret_of_airflow_serves_two_purposes(compose):
    values = [str(value) for value in compose["x-airflow"]["environment"].values()]
    assert {name: sum(f"${{{name}" in value for value in values) for name in AIRFLOW_SECRETS} == dict.fromkeys(
        AIRFLOW_SECRETS, 1
    )


def test_containers_name_their_users_and_log_no_password_of_theirs(compose):
    environment = compose["x-airflow"]["environment"]
    users = environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert users == environment["MLOPS_USERS"] == f"${{MLOPS_USERS:-{USERS}}}"
    kept_in = environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    assert Path(kept_in) == passwords_file(Path(environment["MLOPS_HOME"]))
    # Airflow prints a password that it has to make itself.
    steps = compose["services"]["deploy"]["command"].split(" && ")
    assert "python -m include.embedded.logins" in steps


def test_pools_are_the_same_everywhere(compose):
    astro = yaml.safe_load((PROJECT_ROOT / "airflow_settings.yaml").read_text())["airflow"]["pools"]
    assert {p["pool_name"]: (p["pool_slot"], p["pool_description"]) for p in astro} == POOLS
    for name, (slots, _) in POOLS.items():
        assert f"airflow pools set {name} {slots} " in compose["services"]["deploy"]["command"]


def test_image_and_laptop_agree_on_what_airflow_may_deserialise(tmp_path):
    laptop = airflow_environment(Settings.from_env({"MLOPS_HOME": str(tmp_path)}), port=1)
    image = (PROJECT_ROOT / "Dockerfile").read_text()
    for name in (
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP",
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL",
    ):
        assert re.search(rf'{name}="?{re.escape(laptop[name])}"?\s', image), name


def test_make_help_lists_every_verb():
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    verbs = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M).group(1).split())
    listed = subprocess.run(["make", "help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in listed.splitlines() if line.startswith("  make ")} == verbs


def test_a_commit_is_held_to_the_parts_of_make_lint_and_nothing_is_fetched():
    config = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    parts = re.search(r"^lint: ([a-z -]+) ##", (PROJECT_ROOT / "Makefile").read_text(), re.M).group(1).split()
    assert [hook["entry"] for hook in hooks] == [f"make {part}" for part in parts]


def test_what_make_lint_runs_is_in_the_environment():
    # As if the environment were there: with -n nothing is run, with -o nothing is thought out of date.
    # Within `make test` it is a make inside a make, which would say where it is.
    command = ["make", "--no-print-directory", "-n", "-o", ".venv/.complete", "lint"]
    said = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    programs = [line.split()[0] for line in said.splitlines()]
    assert len(programs) >= 4
    assert all(re.fullmatch(r"\.venv/bin/\w+", program) for program in programs)
    assert [program for program in programs if not (Path(sys.prefix) / "bin" / Path(program).name).exists()] == []


def test_the_workflow_calls_make_only():
    workflow = yaml.safe_load((PROJECT_ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands == ["make test", "make test-all"]
