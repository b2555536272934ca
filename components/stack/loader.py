"""Reads a stack's config, from its file or inside the program, by one parser that reports all mistakes."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

import yaml
from pydantic import ValidationError

from components.stack.config import StackConfig, production_problems, stack_name_problems
from components.stack.errors import Problem, StackConfigError, from_pydantic, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT: Final = "slipway"
_FILE_NAME: Final = re.compile(r"^Pulumi\.([A-Za-z0-9_.-]+)\.yaml$")
# Written by the engine itself, beside `config`.
_ENGINE_KEYS: Final = frozenset(
    {"config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"}
)
_MEGABYTE: Final = 1_048_576


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML where the same key twice is an error; plain YAML keeps the last one without a word."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = cast("object", loader.construct_object(key_node, deep=True))  # pyright: ignore[reportUnknownMemberType]
        if not isinstance(key, str | int | float | bool):
            continue  # YAML's own check refuses unhashable keys below
        line = key_node.start_mark.line + 1
        if key in seen:
            raise _DuplicateKeyError(str(key), seen[key], line)
        seen[key] = line
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(  # pyright: ignore[reportUnknownMemberType]
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping
)


class _DuplicateKeyError(Exception):
    def __init__(self, key: str, first: int, second: int) -> None:
        super().__init__(key)
        self.problem = Problem(
            f"line {second}", f"the key {key!r} again (first in line {first})", "each key once per mapping"
        )


def load_stack_file(path: Path) -> StackConfig:
    """The config in `Pulumi.<stack>.yaml`, read without the engine."""
    file = path.name
    match = _FILE_NAME.match(file)
    if match is None:
        raise StackConfigError(
            file, [Problem("file name", shown(file), "Pulumi.<stack>.yaml")], hint="rename the file"
        )
    document = _document(path)
    unknown = [
        Problem(str(key), "an unknown key", "config", _nearest(str(key), ["config"]))
        for key in document
        if key not in _ENGINE_KEYS
    ]
    config: object = document.get("config", {})
    if not isinstance(config, dict):
        raise StackConfigError(
            file, [*unknown, Problem("config", shown(config), "a mapping of slipway:... keys")]
        )
    return parse(cast("dict[object, object]", config), file=file, stack=match[1], before=unknown)


def load_program_config() -> StackConfig:
    """The config that the engine hands to the running program."""
    import pulumi  # noqa: PLC0415 - the file loader and the schema need no engine
    from pulumi.runtime import config as engine_config  # noqa: PLC0415

    # The language host hands config over in the environment; a test sets it in process.
    raw: dict[str, Any] = {**engine_config.get_config_env(), **engine_config.CONFIG.get()}
    values: dict[object, object] = {key: _engine_value(str(value)) for key, value in raw.items()}
    stack = pulumi.get_stack()
    return parse(values, file=f"Pulumi.{stack}.yaml", stack=stack)


def parse(
    config: Mapping[object, object], *, file: str, stack: str, before: list[Problem] | None = None
) -> StackConfig:
    """Check `slipway:<field>` keys against `StackConfig`; every mistake ends in one `StackConfigError`."""
    problems = list(before or [])
    values: dict[str, object] = {}
    written: dict[str, str] = {}
    for raw, value in config.items():
        key = str(raw)
        namespace, colon, field = key.partition(":")
        if colon and namespace != PROJECT:
            # aws: and pulumi: belong to the engine and its providers; a misspelt project belongs to nobody
            if _nearest(namespace, [PROJECT]):
                problems.append(
                    Problem(
                        f"config.{key}", "a key outside the project", f"{PROJECT}:...", f"{PROJECT}:{field}"
                    )
                )
            continue
        name = field if colon else key  # the engine reads a key without a namespace as the project's
        if name in written:
            problems.append(Problem(f"config.{key}", f"the same key as {written[name]}", "each key once"))
        written[name], values[name] = key, value
    result: StackConfig | None = None
    try:
        result = StackConfig.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems += [from_pydantic(each, StackConfig, f"config.{PROJECT}:") for each in found]
    problems += [Problem(path, shown(found), allowed) for path, found, allowed in stack_name_problems(stack)]
    problems += [
        Problem(f"config.{PROJECT}:{path}", shown(found), allowed)
        for path, found, allowed in production_problems(stack, values)
    ]
    if problems or result is None:
        raise StackConfigError(file, problems)
    return result


def _document(path: Path) -> dict[object, object]:
    """The YAML document as a mapping; syntax and reading errors in the same words as wrong values."""
    file = path.name
    try:
        if path.stat().st_size > _MEGABYTE:
            raise StackConfigError(file, [Problem("file", "more than 1 MB", "a stack file")])
        text = path.read_text(encoding="utf-8")
        loaded: object = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        siblings = sorted(each.name for each in path.parent.glob("Pulumi.*.yaml"))
        near = _nearest(file, siblings)
        raise StackConfigError(
            file,
            [Problem("file", "no such file", ", ".join(siblings) or "Pulumi.<stack>.yaml", near)],
            hint="name one of these stacks, or copy one of their files",
        ) from error
    except _DuplicateKeyError as error:
        raise StackConfigError(file, [error.problem]) from error
    except UnicodeDecodeError as error:
        raise StackConfigError(file, [Problem("file", f"no UTF-8 text ({error.reason})", "YAML")]) from error
    except OSError as error:
        raise StackConfigError(file, [Problem("file", str(error.strerror), "a readable file")]) from error
    except yaml.YAMLError as error:
        raise StackConfigError(file, [_syntax_problem(error)]) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise StackConfigError(file, [Problem("file", shown(loaded), "a mapping with the key config")])
    return cast("dict[object, object]", loaded)


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(where, f"no valid YAML ({what})", "YAML; look at indentation, colons and quotes")


def _engine_value(value: str) -> object:
    """The engine hands objects and lists over as JSON text, and strings as they are.

    Every top-level field is a string or an object, so digits (an account id) stay text.
    """
    if not value.startswith(("{", "[")):
        return value
    try:
        return cast("object", json.loads(value))
    except ValueError:
        return value


def _nearest(word: str, among: list[str]) -> str | None:
    found = difflib.get_close_matches(word, among, n=1, cutoff=0.6)
    return found[0] if found else None
