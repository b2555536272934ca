"""The properties of a resource type, read from the SDK's source as text: importing it costs seconds."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_OUTPUT = re.compile(
    r'@pulumi\.getter(?:\(name="(\w+)"\))?\s+(?:@_utilities\.deprecated\(""".*?"""\)\s+)?'
    r"def (\w+)\(self\) -> pulumi\.Output\[(.*?)\]:\n",
    re.DOTALL,
)
_INPUT = re.compile(r"^ {17}(\w+): (.*?) = None,$", re.MULTILINE)


@dataclass(frozen=True)
class Spec:
    """Inputs and outputs of one type: the property's wire name, and its annotation in Python."""

    type: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    known: bool = False  # whether the installed SDK has this type

    def is_text(self, key: str) -> bool:
        """Whether the property is a string: the SDK would wait for ever for an output of another kind."""
        return self.outputs.get(key, "").removeprefix("Optional[").removesuffix("]") == "_builtins.str"


def version(package: str) -> str:
    """The provider version that the installed SDK asks for."""
    return json.loads((_home(package) / "pulumi-plugin.json").read_text(encoding="utf-8"))["version"]


@cache
def spec(type_: str) -> Spec:
    """The spec of `package:module/type:Type`; an empty one where the SDK has no such type."""
    package, module, kind = type_.split(":")
    for path in _candidates(_home(package), module.partition("/")[0], kind):
        text = path.read_text(encoding="utf-8")
        if f"'{type_}'," in text and "(pulumi.CustomResource):" in text:
            return _parse(type_, text[text.index("(pulumi.CustomResource):") :])
    return Spec(type_)


def _home(package: str) -> Path:
    found = importlib.util.find_spec("pulumi_" + package.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise LookupError(f"the SDK of {package} is not installed")
    return Path(found.submodule_search_locations[0])


def _candidates(home: Path, module: str, kind: str) -> Iterator[Path]:
    names = (module, f"{module}_", _snake(module))
    folder = (
        home if module == "index" else next((home / each for each in names if (home / each).is_dir()), home)
    )
    likely = folder / f"{_snake(kind)}.py"
    if likely.is_file():
        yield likely
    yield from (path for path in sorted(folder.glob("*.py")) if path != likely)


def _parse(type_: str, body: str) -> Spec:
    start = body.index("def _internal_init")
    outputs: dict[str, str] = {}
    wire: dict[str, str] = {}
    for alias, snake, annotation in _OUTPUT.findall(body):
        outputs[alias or snake] = annotation
        wire[snake] = alias or snake
    head = body[start : body.index("__props__=None", start)]
    inputs = {
        wire.get(snake, snake): annotation for snake, annotation in _INPUT.findall(head) if snake != "opts"
    }
    return Spec(type_, inputs, outputs, known=True)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
