"""pulumi-random: made once, remembered, the same on every later `up`."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run.world import World

Outputs = Mapping[str, Any]
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own default


def password(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Of the declared length and alphabet, with the declared minimum of each class."""
    result = world.memory.once(f"password {resource.urn}", lambda: generate(resource.inputs))
    return {"id": "none", "result": result}


def identifier(world: World, resource: Resource, _: Outputs) -> Outputs:
    """`random.RandomId` in hexadecimal."""
    size = int(resource.inputs.get("byteLength", 8))
    text = str(world.memory.once(f"id {resource.urn}", lambda: secrets.token_hex(size)))
    return {"id": text, "hex": text, "dec": str(int(text, 16))}


def uuid(world: World, resource: Resource, _: Outputs) -> Outputs:
    """`random.RandomUuid`."""
    import uuid as module  # noqa: PLC0415  the name is this function's

    text = world.memory.once(f"uuid {resource.urn}", lambda: str(module.uuid4()))
    return {"id": text, "result": text}


def generate(inputs: Mapping[str, Any]) -> str:
    """A password by the rules of the provider."""
    classes = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "number": string.digits,
        "special": str(inputs.get("overrideSpecial") or SPECIAL),
    }
    letters = [alphabet for name, alphabet in classes.items() if inputs.get(name, True)]
    length = int(inputs["length"])
    picked: list[str] = []
    for name, alphabet in classes.items():
        picked += [secrets.choice(alphabet) for _ in range(int(inputs.get(f"min{name.capitalize()}", 0)))]
    everything = "".join(letters)
    picked += [secrets.choice(everything) for _ in range(length - len(picked))]
    secrets.SystemRandom().shuffle(picked)
    return "".join(picked)


MAKERS = {
    "random:index/randomPassword:RandomPassword": password,
    "random:index/randomString:RandomString": password,
    "random:index/randomId:RandomId": identifier,
    "random:index/randomUuid:RandomUuid": uuid,
}
