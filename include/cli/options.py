"""Options that several commands take, and what is held against their values before anything is started.

What belongs here: an option that means the same in two commands, and its check. What does not: an option of one
command, and checks that need data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from include.errors import UsageError

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Option = Callable[[_Command], _Command]


class _NamedPath(click.Path):
    """A path that names something: an empty one would be the folder that the command is run in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("'' names no file and no folder", param, ctx)
        return super().convert(value, param, ctx)


class _OutFile(_NamedPath):
    """A file to write, in a folder that is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        if not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {path.absolute().parent}; make it first")
        return path


PATH = _NamedPath(path_type=Path)
OUT_FILE = _OutFile(path_type=Path, dir_okay=False)


def column_names(*names: str, **given: Any) -> _Option[Any]:
    """Return an option that is columns, A,B,…."""
    return click.option(*names, callback=_split_names, **given)


def day(*names: str, **given: Any) -> _Option[Any]:
    """Return an option that is a partition, YYYY-MM-DD."""
    return click.option(*names, callback=_check_day, metavar="YYYY-MM-DD", **given)


def past_day(*names: str, **given: Any) -> _Option[Any]:
    """Return an option that is a partition of which there may be something: of a later one there is nothing yet."""
    return click.option(*names, callback=_check_past_day, metavar="YYYY-MM-DD", **given)


def version(*names: str, **given: Any) -> _Option[Any]:
    """Return an option that is the number of a model's version."""
    return click.option(*names, type=click.IntRange(1, 2**31 - 1), metavar="VERSION", **given)


def _split_names(_context: click.Context, parameter: click.Parameter, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{parameter.opts[0]}={text!r} names no column; write {parameter.opts[0]} A,B")
    return names


def check_day(parameter: click.Parameter, key: str) -> str:
    """Take a day of the calendar."""
    from include.partitions import parse

    try:
        parse(key)
    except UsageError as err:
        raise UsageError(f"{parameter.opts[0]}: {err}") from err
    return key


def _check_day(_context: click.Context, parameter: click.Parameter, key: str | None) -> str | None:
    return None if key is None else check_day(parameter, key)


def _check_past_day(context: click.Context, parameter: click.Parameter, key: str | None) -> str | None:
    today = datetime.now(UTC).date().isoformat()
    if _check_day(context, parameter, key) is not None and str(key) > today:
        raise UsageError(f"{parameter.opts[0]} {key} is later than today, {today}; name a day that has come")
    return key


def _as_instant(_context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as err:
        raise UsageError(
            f"{parameter.opts[0]} {text!r} is not a time; write e.g. 2011-12-10 or 2011-12-10T00:00:00Z"
        ) from err
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _check_zone(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    from include.specs.sources import check_time_zone

    if name is not None:
        try:
            check_time_zone(name)
        except ValueError as err:
            raise UsageError(str(err)) from err
    return name


def _check_model(_context: click.Context, _parameter: click.Parameter, model_id: str) -> str:
    """Take a model whose DAGs Airflow has: what it would not run is not run by hand, and nothing of it is moved."""
    from include.specs.deployed import require_standing
    from include.specs.models import load_model

    require_standing(model_id)
    load_model(model_id)
    return model_id


def _check_model_or_all(context: click.Context, parameter: click.Parameter, model_id: str | None) -> str | None:
    return model_id if model_id is None else _check_model(context, parameter, model_id)


def check_group(_context: click.Context, _parameter: click.Parameter, group: str | None) -> str | None:
    """Take a feature group that there is, or none."""
    from include.specs.groups import load_feature_group

    if group is not None:
        require_specs()
        load_feature_group(group)
    return group


def require_specs() -> None:
    """Refuse to go by the specs that ship, where the folder is not there that may say otherwise."""
    from include.settings import Settings
    from include.specs.yaml_files import require_overlay

    require_overlay(Settings.from_env().specs_overlay)


def check_reason(_context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Take a reason that says something."""
    if not text.strip():
        raise UsageError(f"{parameter.opts[0]}={text!r} gives none; write why, in a sentence: it is kept")
    return text


def _told_as(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name.strip("[]")


def _check_word(_context: click.Context, parameter: click.Parameter, word: str | None) -> str | None:
    if word is not None and not re.fullmatch("[a-z][a-z0-9_]*", word):
        raise UsageError(
            f"{_told_as(parameter)}={word!r} is no model's id; write small letters, digits and _, e.g. churn"
        )
    return word


model = click.option("--model", "model_id", required=True, callback=_check_model, help="The model's id, e.g. churn.")
model_or_all = click.option(
    "--model", "model_id", callback=_check_model_or_all, help="The model's id, e.g. churn.  [default: all]"
)
# For what is told of it: its spec may be wrong, or gone.
past_model = click.option(
    "--model", "model_id", required=True, callback=_check_word, help="The model's id, e.g. churn."
)
past_model_or_all = click.argument("model_id", metavar="[MODEL]", required=False, callback=_check_word)
group = click.option("--group", required=True, callback=check_group, help="Feature group: the name of its YAML.")
reason = click.option("--reason", required=True, callback=check_reason, help="Why; kept in the ledger.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
file_format = click.option("--format", "file_format", metavar="NAME", help="What the columns are. Default: canonical.")
as_of = click.option(
    "--as-of",
    metavar="ISO",
    callback=_as_instant,
    help="No row may be later; without a zone it is UTC. Default: now.",
)
time_zone = click.option(
    "--time-zone",
    metavar="IANA",
    callback=_check_zone,
    help="Zone of times in the file that have none; one that the zone has twice is the later. Default: the source's.",
)
