"""YAML files as frozen values: reading, overlays, and messages that name file, key, value and what is allowed.

What belongs here: what every kind of spec file has in common. What does not: the schema of one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.errors import SpecError, nearest, shown
from include.settings import PROJECT_ROOT, Settings

CONFIG_ROOT = PROJECT_ROOT / "include" / "config"

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
# A file's name is also that of DAGs, of their tags, which have 100 characters at most, and of tables online: PostgreSQL
# cuts a name at 63, with what stands around it, so that two of them would be one.
Name = Annotated[Identifier, Field(max_length=50)]
# Airflow keeps 2,000 characters of a DAG's owners.
Owner = Annotated[str, Field(min_length=1, max_length=100, description="who answers for it")]
Fraction = Annotated[float, Field(ge=0, le=1)]
DAYS_MAX = 3660
Days = Annotated[int, Field(ge=1, le=DAYS_MAX)]

_Spec = TypeVar("_Spec", bound=BaseModel)
_Load = TypeVar("_Load", bound=Callable[..., Any])

_kept: list[Callable[[], None]] = []


def kept(load: _Load) -> _Load:
    """Have what a function makes of a name stay what it is, for as long as the process or until `forget_names`."""
    remembering = lru_cache(maxsize=64)(load)
    _kept.append(remembering.cache_clear)
    return cast("_Load", remembering)


def forget_names() -> None:
    """Have every spec made again of what its files say by then."""
    for forget in _kept:
        forget()


class Frozen(BaseModel):
    """A value of a spec file: frozen, nothing unknown in it, no type guessed, no number that bounds nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def require_overlay(overlay: Path | None) -> None:
    """Refuse to take what ships for what holds, where the folder that may say otherwise is not there.

    Raises
    ------
    SpecError
        If the overlay is no folder.
    """
    if overlay is not None and not overlay.is_dir():
        raise SpecError(
            f"{str(overlay)!r}, which MLOPS_SPECS names or the home was made with, is not a folder of overlays; "
            "make it or put it back, or name another"
        )


def spec_folders(shipped: Path) -> tuple[Path, ...]:
    """Return the folders that specs of a kind are read from: the one that ships, and the overlay's of its name."""
    overlay = Settings.from_env().specs_overlay
    return (shipped,) if overlay is None else (shipped, overlay / shipped.name)


def spec_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the specs in some folders, in order."""
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))


def spec_files(folders: Sequence[Path], name: str, *, kind: str) -> list[Path]:
    """Return the files of a spec, what ships first: the folders' own, whatever path the name would make.

    Raises
    ------
    SpecError
        If there is none of that name.
    """
    known = spec_names(folders)
    if name not in known:
        gone = ", ".join(str(folder.parent) for folder in folders[1:] if not folder.parent.is_dir())
        told = f"; {gone}, which MLOPS_SPECS names or the home was made with, is not there" if gone else ""
        raise SpecError(f"there is no {kind} {name!r}; known: {', '.join(known)}{nearest(name, known)}{told}")
    return [path for folder in folders if (path := folder / f"{name}.yaml").exists()]


def read_spec(
    folders: Sequence[Path], name: str, *, kind: str, growing: Collection[str] = ()
) -> tuple[dict[str, Any], Path]:
    """Return the values of a spec, with an overlay's laid over those that ship, and the file that says them last.

    Parameters
    ----------
    growing : collection of str
        As of `laid_over`.

    Raises
    ------
    SpecError
        If there is none of that name, or it can't be read.
    """
    first, *others = spec_files(folders, name, kind=kind)
    values, path = read_yaml(first), first
    for path in others:
        values = laid_over(values, read_yaml(path), path, growing=growing)
    return values, path


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the values of a spec file.

    Raises
    ------
    SpecError
        If it can't be read, or it is no mapping; if a key is no text, or is there twice.
    """
    try:
        values = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as err:
        raise SpecError(f"{path.name} can't be read: {err.strerror if isinstance(err, OSError) else err}") from err
    except (yaml.YAMLError, RecursionError) as err:
        said = str(err).replace("<unicode string>", path.name)
        raise SpecError(f"{path.name} is not YAML: {' '.join(said.split())}") from err
    if not isinstance(values, dict):
        raise SpecError(f"{path.name} must be a mapping of keys to values, found {type(values).__name__}")
    return values


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Return what a text says: a file that was changed has another one, and is never taken for what it was."""
    return yaml.load(text, _StrictLoader)  # noqa: S506 - a safe one


class _StrictLoader(yaml.SafeLoader):
    """YAML of which no value is lost: a key is text, and is there once."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a node's value; what looks like a date or a number and is none is YAML's error, not Python's."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as err:
            problem = f"{str(node.value)[:40]!r} can't be taken ({err}); write a text in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from err
        if isinstance(value, str) and "\0" in value:
            # No database keeps it, and some that what a file says goes to is behind everybody's DAGs.
            problem = f"{value[:40]!r} holds a zero byte; leave it out"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; what ``<<`` brings in lies below the mapping's own keys, so that both may have one."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"the key {key!r} is no text; write it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def yaml_text(values: Mapping[str, Any], meanings: Mapping[str, str] | None = None) -> str:
    """Return the values of a spec as a file of it has them: each entry of a list of mappings on a line of its own.

    Parameters
    ----------
    meanings : mapping of str to str, optional
        What is written behind a value, by its dotted key.
    """
    return "".join(f"{line}\n" for line in _yaml_lines(values, "", meanings or {}))


def _yaml_lines(values: Mapping[str, Any], prefix: str, meanings: Mapping[str, str]) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for key, value in values.items():
        meaning = meanings.get(f"{prefix}{key}")
        told = f"  # {meaning}" if meaning else ""
        if isinstance(value, dict) and value:
            yield f"{indent}{_yaml_scalar(key)}:"
            yield from _yaml_lines(value, f"{prefix}{key}.", meanings)
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            yield f"{indent}{_yaml_scalar(key)}:{told}"
            yield from (f"{indent}  - {_yaml_scalar(each)}" for each in value)
        else:
            yield f"{indent}{_yaml_scalar(key)}: {_yaml_scalar(value)}{told}"


def _yaml_scalar(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()


def laid_over(
    base: dict[str, Any], overlay: dict[str, Any], path: Path, prefix: str = "", *, growing: Collection[str] = ()
) -> dict[str, Any]:
    """Return `base` with the values of an overlay in the place of its own.

    Parameters
    ----------
    growing : collection of str
        Keys of mappings by name, to which an overlay may add.

    Raises
    ------
    SpecError
        If the overlay has another key that `base` has not.
    """
    merged = copy.deepcopy(base)
    for key, value in overlay.items():
        if key not in merged and prefix.removesuffix(".") not in growing:
            raise SpecError(
                f"{path.name}: unknown key {prefix + key!r}; allowed: {', '.join(merged)}{nearest(key, merged)}"
            )
        if isinstance(merged.get(key), dict) and isinstance(value, dict):
            merged[key] = laid_over(merged[key], value, path, f"{prefix}{key}.", growing=growing)
        else:
            merged[key] = value
    return merged


def validated(model: type[_Spec], values: dict[str, Any], path: Path) -> _Spec:
    """Return values as a spec.

    Raises
    ------
    SpecError
        If a value isn't allowed, with every one that is not.
    """
    try:
        return model.model_validate(values)
    except ValidationError as err:
        raise SpecError(*_messages(model, err, path)) from err


def _messages(model: type[BaseModel], err: ValidationError, path: Path) -> Iterator[str]:
    for problem in err.errors(include_url=False):
        location = problem["loc"]
        where, at = _where(model, location)
        if problem["type"] == "extra_forbidden":
            allowed, key = list(at.model_fields), str(location[-1])
            yield f"{path.name}: unknown key {where!r}; allowed: {', '.join(allowed)}{nearest(key, allowed)}"
        elif problem["type"] == "union_tag_invalid":
            tag, allowed = str(problem["ctx"]["tag"]), problem["ctx"]["expected_tags"].replace("'", "").split(", ")
            yield f"{path.name}: {where}.kind={tag!r}; allowed: {', '.join(allowed)}{nearest(tag, allowed)}"
        elif problem["type"] == "union_tag_not_found":
            yield f"{path.name}: {where}.kind is missing"
        elif problem["type"] == "missing":
            yield f"{path.name}: {where} is missing"
        else:
            said = _said(problem["type"], problem["msg"], at)
            yield f"{path.name}: {where}={shown(problem['input'])}: {said}" if where else f"{path.name}: {said}"


def _said(kind: str, message: str, schema: type[BaseModel]) -> str:
    """Return what is wrong with a value in the words of whoever writes YAML, not of Python."""
    if kind == "model_type":
        return f"it takes keys of its own: {', '.join(schema.model_fields)}"
    if kind == "tuple_type":
        return "it takes a list, as [a, b]"
    return message.removeprefix("Value error, ")


def _where(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, type[BaseModel]]:
    """Return the keys of the file that lead to a value, and the schema of what holds it."""
    current, found, parts = model, [model], []
    for part in location:
        tagged = [each for each in found if part in _tags(each)]
        if tagged and len(found) > 1:
            # Which schema of several it is, is a part of pydantic's location, but no key of the file.
            found = tagged
            current = tagged[0]
            continue
        parts.append(str(part))
        if isinstance(part, str) and part in current.model_fields:
            found = list(_models_in(current.model_fields[part].annotation))
            current = found[0] if len(found) == 1 else current
    return ".".join(parts), current


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            yield from _models_in(each)
