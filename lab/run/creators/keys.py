"""KMS keys and aliases in the emulator; a key is made once, so that what it encrypted stays readable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run.creators.calls import attempt
from lab.run.world import World

Outputs = Mapping[str, Any]


def key(world: World, resource: Resource, _: Outputs) -> Outputs:
    """The key of an earlier `up` while the emulator still has it."""
    kms, memory = world.client("kms"), f"kms {resource.urn}"
    known = world.memory.get(memory)
    if known is not None:
        found = attempt(lambda: kms.describe_key(KeyId=known)["KeyMetadata"], "NotFoundException")
        if found is not None:
            return {"id": found["KeyId"], "keyId": found["KeyId"], "arn": found["Arn"]}
    made = kms.create_key(Description=str(resource.inputs.get("description", "")))["KeyMetadata"]
    world.memory.put(memory, made["KeyId"])
    return {"id": made["KeyId"], "keyId": made["KeyId"], "arn": made["Arn"]}


def alias(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Points at the key, also when it pointed elsewhere before."""
    kms = world.client("kms")
    name, target = str(resource.inputs["name"]), str(resource.inputs["targetKeyId"])
    made = attempt(lambda: kms.create_alias(AliasName=name, TargetKeyId=target), "AlreadyExistsException")
    if made is None:
        kms.update_alias(AliasName=name, TargetKeyId=target)
    return {"id": name, "name": name, "targetKeyId": target}


MAKERS = {"aws:kms/key:Key": key, "aws:kms/alias:Alias": alias}
