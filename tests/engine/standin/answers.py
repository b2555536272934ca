"""Outputs for inputs: what the lab knows of AWS's forms, and a value of the right kind for the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lab.calls import Account
from lab.computed import ResolvedCreator
from lab.model import UNKNOWN_TEXT, Resource
from lab.wire import SECRET, SIGNATURE
from tests.engine.standin.spec import Spec

_NAME_KEYS = {
    "aws:s3/bucket:Bucket": "bucket",
    "aws:rds/instance:Instance": "identifier",
    "aws:elasticache/replicationGroup:ReplicationGroup": "replicationGroupId",
}
# their optional `name` is not filled in by the provider
_UNNAMED = frozenset({"aws:kms/alias:Alias", "aws:route53/record:Record"})


class _OfAccount(ResolvedCreator):
    """The lab's answers for the account and region that the engine configured."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account

    def _facts(self, resource: Resource) -> dict[str, str]:
        facts = super()._facts(resource)
        return {**facts, "_account": self.account.account_id, "_region": self.account.region}


def plain(value: Any) -> Any:
    """The value without the engine's envelopes for secrets."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value.get("value"))
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def name_key(spec: Spec) -> str | None:
    """The input that gets a name of its own where the program gives none."""
    if spec.type in _NAME_KEYS:
        return _NAME_KEYS[spec.type]
    named = "Optional" in spec.inputs.get("name", "") and spec.type.startswith("aws:")
    return "name" if named and spec.type not in _UNNAMED else None


def type_of(urn: str) -> str:
    """The type token in a URN."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The program's name of a resource."""
    return urn.rsplit("::", 1)[-1]


def previewed(spec: Spec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What is known before it exists: the inputs."""
    unknown = {key: UNKNOWN_TEXT for key in spec.outputs if inputs.get(key) is None}
    return {**unknown, **{key: value for key, value in inputs.items() if key != "__defaults"}}


def made(
    spec: Spec, urn: str, inputs: Mapping[str, Any], account: Account, tags: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """The id, and every output."""
    given = {key: value for key, value in inputs.items() if key != "__defaults"}
    known = plain(given)
    resource = Resource(urn=urn, type=spec.type, name=name_of(urn), parent="", custom=True, inputs=known)
    created = _OfAccount(account).create(resource)
    outputs: dict[str, Any] = {**created.outputs, **given}
    if "tagsAll" in spec.outputs:
        outputs["tagsAll"] = {**tags, **(known.get("tags") or {})}
    seed = hashlib.sha256(urn.encode()).hexdigest()[:8]
    for key, annotation in spec.outputs.items():
        if outputs.get(key) is None and not annotation.startswith("Optional["):
            outputs[key] = _of_kind(annotation, f"{key}-{seed}" if key not in spec.inputs else "")
    return str(created.id), {key: value for key, value in outputs.items() if value is not None}


def _of_kind(annotation: str, text: str) -> Any:
    if annotation.startswith(("Sequence", "List")):
        return []
    return {"_builtins.str": text, "_builtins.bool": False, "_builtins.int": 0, "_builtins.float": 0}.get(
        annotation, {}
    )


def as_text(value: Any) -> str:
    """A policy document that was given as an object, as the JSON text that the provider keeps."""

    def whole(each: Any) -> Any:  # a Struct knows doubles only
        if isinstance(each, dict):
            return {key: whole(inner) for key, inner in each.items()}
        if isinstance(each, list):
            return [whole(inner) for inner in each]
        return int(each) if isinstance(each, float) and each.is_integer() else each

    return json.dumps(whole(value), separators=(",", ":"), sort_keys=True)
