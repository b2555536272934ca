"""Reads a `config.<stack>.json`, checked whole: the engine itself ignores unknown policies in silence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from policies.control import Control
from policies.pricing import table as prices
from policies.pricing.usage import price_of
from policies.problems import Problem, nearest, one_of, shown, unknown
from policies.settings import SETTINGS, ControlSettings, PackConfigError, mistakes

LEVELS: Final = ("advisory", "mandatory", "disabled")
LEVEL: Final = "enforcementLevel"
ALL: Final = "all"
_SCHEMA: Final = "$schema"  # for editors

Config = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Mistake:
    problem: Problem
    key: str  # of the policy's values: without it the rest is sound


def load(path: Path, controls: Iterable[Control] = ()) -> Config:
    """A file without a mistake."""
    config, problems = read(path, controls)
    if problems:
        raise PackConfigError(path.name, problems)
    return config


def read(path: Path, controls: Iterable[Control] = ()) -> tuple[Config, list[Problem]]:
    """What is sound in a file, policy by policy, and its mistakes; without `controls` no id is checked."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return {}, [Problem("the file", "what cannot be read", f"JSON ({error})")]
    if not isinstance(document, dict):
        return {}, [Problem("the file", shown(document), "an object with a key per policy")]
    known = tuple(controls)
    config: Config = {}
    problems: list[Problem] = []
    for policy, given in cast("dict[str, Any]", document).items():
        if policy == _SCHEMA:
            continue
        values: Any = {LEVEL: given} if isinstance(given, str) else given
        if policy not in SETTINGS and policy != ALL:
            problems.append(unknown(policy, "policy", policy, SETTINGS))
        elif not isinstance(values, dict):
            problems.append(Problem(policy, shown(values), f"an object, or {one_of(LEVELS)}"))
        else:
            config[policy] = _sound(policy, cast("dict[str, Any]", values), known, problems)
    return config, problems


def level(config: Config, policy: str) -> str:
    """How its violations count."""
    default = "advisory" if policy == "undecided" else "mandatory"
    return config.get(policy, {}).get(LEVEL) or config.get(ALL, {}).get(LEVEL, default)


def parameters(config: Config, policy: str) -> dict[str, Any]:
    """What its settings are made of."""
    return {key: value for key, value in config.get(policy, {}).items() if key != LEVEL}


def _sound(
    policy: str, values: dict[str, Any], controls: tuple[Control, ...], problems: list[Problem]
) -> dict[str, Any]:
    """The values without those that are mistakes."""
    found = list(_level_mistakes(policy, values))
    rest = {key: value for key, value in values.items() if key != LEVEL}
    found.extend(_mistakes(policy, rest, controls))
    problems.extend(mistake.problem for mistake in found)
    wrong = {mistake.key for mistake in found}
    return {key: value for key, value in values.items() if key not in wrong}


def _level_mistakes(policy: str, values: Mapping[str, Any]) -> Iterable[_Mistake]:
    word = values.get(LEVEL, "mandatory")
    if word not in LEVELS:
        near = nearest(str(word), LEVELS)
        yield _Mistake(Problem(f"{policy}.{LEVEL}", shown(word), one_of(LEVELS), near), LEVEL)


def _mistakes(policy: str, values: Mapping[str, Any], controls: tuple[Control, ...]) -> Iterable[_Mistake]:
    if policy == ALL:
        for key in values:
            yield _Mistake(unknown(f"{ALL}.{key}", "key", key, (LEVEL,)), key)
        return
    try:
        chosen = SETTINGS[policy].model_validate(values)
    except ValidationError as error:
        keys = [str(each["loc"][0]) for each in error.errors()]
        for key, problem in zip(keys, mistakes(policy, error), strict=True):
            yield _Mistake(problem, key)
        wrong = set(keys)
        # the others are looked at as well: all mistakes in one go
        yield from _mistakes(policy, {k: v for k, v in values.items() if k not in wrong}, controls)
        return
    if isinstance(chosen, ControlSettings) and controls:
        for problem in selectors(policy, chosen, controls):
            yield _Mistake(problem, problem.path.split(".")[1])
    ids = prices.load().ids()
    for name in values.get("usage", {}):
        if price_of(name) not in ids:
            yield _Mistake(unknown(f"{policy}.usage.{name}", "price", name, ids), "usage")


def selectors(policy: str, chosen: ControlSettings, controls: Iterable[Control]) -> Iterable[Problem]:
    """What is wrong with the words that switch controls off: ids that are none, or that must judge."""
    by_word: dict[str, list[Control]] = {}
    for control in controls:
        by_word.setdefault(control.id, []).append(control)
        by_word.setdefault(control.family, []).append(control)
    for key, words in (("disabled", chosen.disabled), ("advisory", chosen.advisory)):
        for word in words:
            where = f"{policy}.{key}.{word}"
            firm = [control.id for control in by_word.get(word, ()) if not control.waivable]
            if word not in by_word:
                yield unknown(where, "control or family", word, by_word)
            elif firm:
                yield Problem(where, shown(word), f"what may be waived; {', '.join(firm)} may not")
