"""A stack in a few lines: what a control calls bad or good, for its page, its tests and its mutants alike.

The notation is Pulumi's own for YAML, as Python literals: resources by name, inputs in the wire's camelCase,
`${vpc.id}` for an output of another resource (which no preview knows), `{"fn::toJSON": …}` for a document and
`{"fn::secret": …}` for a secret. The resource that is judged is called `it`.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.reader import token

JUDGED: Final = "it"
KEY: Final = "arn:aws:kms:us-east-1:111111111111:key/1234"
TO_JSON: Final = "fn::toJSON"
SECRET: Final = "fn::secret"  # noqa: S105  the notation's word, not a secret
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_]\w*)\.([A-Za-z_]\w*)\}")
# whose keys are the user's own words, not names of properties
_FREE_MAPS: Final = frozenset(("tags", "variables", "parameters", "labels", "dimensions"))


@dataclass(frozen=True)
class Resource:
    """One resource: its type's token and its inputs."""

    type: str
    inputs: Mapping[str, Any]


Example = Mapping[str, Resource]


def res(type_: str, /, **inputs: Any) -> Resource:
    """A resource; `rds/Instance` is short for `aws:rds/instance:Instance`."""
    return Resource(token(type_), inputs)


def example(**resources: Resource) -> Example:
    """A stack of these resources."""
    return resources


def nested(path: str, value: Any) -> dict[str, Any]:
    """Inputs with one value at a dotted path; blocks of a list are written `a.0.b`."""
    for part in reversed(path.split(".")):
        value = [value] if part.isdigit() else {part: value}
    return cast("dict[str, Any]", value)


def to_json(document: Any) -> dict[str, Any]:
    """A document that the program writes as JSON."""
    return {TO_JSON: document}


def references(value: Any) -> Iterator[str]:
    """The names of the resources that a value is made from."""
    if isinstance(value, str):
        yield from (match[1] for match in _REFERENCE.finditer(value))
    elif isinstance(value, Mapping):
        for each in cast("Mapping[str, Any]", value).values():
            yield from references(each)
    elif isinstance(value, Sequence):
        for each in cast("Sequence[Any]", value):
            yield from references(each)


def python(stack: Example) -> str:
    """The example as a Pulumi program in Python."""
    return "\n".join(_statement(name, resource) for name, resource in stack.items())


def _statement(name: str, resource: Resource) -> str:
    _, module, kind = resource.type.split(":")
    module = module.partition("/")[0]
    module = f"{module}_" if keyword.iskeyword(module) else module
    rows = [f"    {_snake(key)}={_value(value, key, 4)},\n" for key, value in resource.inputs.items()]
    call = f"{name} = aws.{module}.{kind}("
    return f'{call}\n    "{name}",\n{"".join(rows)})' if rows else f'{call}"{name}")'


def _value(value: Any, key: str, indent: int, *, free: bool = False) -> str:
    """A literal as a program would say it; `free` keys stay as they are."""
    if isinstance(value, str):
        return _text(value)
    pad, end = " " * (indent + 4), " " * indent
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if TO_JSON in mapping:
            writer = "pulumi.Output.json_dumps" if any(references(mapping)) else "json.dumps"
            return f"{writer}({_value(mapping[TO_JSON], key, indent, free=True)})"
        if SECRET in mapping:
            return f"pulumi.Output.secret({_value(mapping[SECRET], key, indent, free=free)})"
        free = free or key in _FREE_MAPS
        pairs = [
            f"{json.dumps(name if free else _snake(name))}: {_value(each, name, indent + 4, free=free)}"
            for name, each in mapping.items()
        ]
        return _group("{", pairs, "}", pad, end)
    if isinstance(value, Sequence):
        items = [_value(each, "", indent + 4, free=free) for each in cast("Sequence[Any]", value)]
        return _group("[", items, "]", pad, end)
    return repr(value)


def _text(value: str) -> str:
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return f"{whole[1]}.{_snake(whole[2])}"
    if not _REFERENCE.search(value):
        return json.dumps(value, ensure_ascii=False)
    outputs = [f"{match[1]}.{_snake(match[2])}" for match in _REFERENCE.finditer(value)]
    return f"pulumi.Output.format({json.dumps(_REFERENCE.sub('{}', value))}, {', '.join(outputs)})"


def _group(opening: str, items: list[str], closing: str, pad: str, end: str) -> str:
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + len(end) <= 88 and "\n" not in line:
        return line
    return "\n".join([opening, *(f"{pad}{item}," for item in items), f"{end}{closing}"])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
