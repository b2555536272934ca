"""What a preview of the engine would replace or remove though it holds data, and who has agreed to that."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError

ACKNOWLEDGED: Final = "acknowledged-replacements.yaml"
# what is lost with a new one: rows, objects, keys, images, messages
STATEFUL: Final[Mapping[str, str]] = {
    "aws:cognito/userPool:UserPool": "user accounts",
    "aws:dynamodb/table:Table": "a DynamoDB table",
    "aws:ecr/repository:Repository": "an image repository",
    "aws:efs/fileSystem:FileSystem": "a file system",
    "aws:elasticache/cluster:Cluster": "a Redis cluster",
    "aws:elasticache/replicationGroup:ReplicationGroup": "a Redis replication group",
    "aws:kms/key:Key": "a key, and with it all that it encrypts",
    "aws:opensearch/domain:Domain": "a search domain",
    "aws:rds/cluster:Cluster": "a database cluster",
    "aws:rds/instance:Instance": "a database",
    "aws:s3/bucket:Bucket": "a bucket",
    "aws:s3/bucketV2:BucketV2": "a bucket",
    "aws:secretsmanager/secret:Secret": "a secret",
    "aws:sqs/queue:Queue": "a queue",
}
Fate = Literal["replaced", "removed"]
# the steps of the engine's preview document; a replacement is one step, or its parts
_FATES: Final[Mapping[str, Fate]] = {
    "replace": "replaced",
    "create-replacement": "replaced",
    "delete-replaced": "replaced",
    "discard-replaced": "replaced",
    "delete": "removed",
    "discard": "removed",
}


class Acknowledgement(BaseModel):
    """One loss that somebody answers for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urn: str = Field(
        pattern=r"^urn:pulumi:[^*?\[]+$", description="the whole URN: a pattern would agree to more"
    )
    reason: str = Field(
        min_length=15, description="why its data may go, or where they are kept, in a sentence"
    )
    owner: str = Field(min_length=1, description="who answers for it")
    expires: dt.date = Field(description="the last day it holds")


@dataclass(frozen=True)
class Finding:
    """One stateful resource that would not survive."""

    urn: str
    what: str
    fate: Fate
    because: tuple[str, ...]
    acknowledged: Acknowledgement | None
    problem: str = ""

    @property
    def open(self) -> bool:
        """Whether nobody has agreed to it."""
        return self.acknowledged is None


def load(path: Path) -> list[Acknowledgement]:
    """The acknowledgements of a file, which need not be there."""
    if not path.exists():
        return []
    hint = f"correct {path.name}: a list `acknowledged:` of urn, reason, owner, expires"
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        entries: Any = cast("dict[str, Any]", document).get("acknowledged") or []
        return [Acknowledgement.model_validate(entry) for entry in entries]
    except ValidationError as error:
        words = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise LabError(
            f"{path.name} has a mistake", cause="; ".join(words), hint=hint, code="acks"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise LabError(f"{path.name} cannot be read", cause=str(error), hint=hint, code="acks") from error


def steps(path: Path) -> list[Mapping[str, Any]]:
    """The steps of a document that `pulumi preview --json` wrote."""
    hint = "make it with: pulumi preview --json > preview.json"
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LabError(f"{path} cannot be read", cause=str(error), hint=hint, code="preview") from error
    found: Any = cast("dict[str, Any]", document).get("steps") if isinstance(document, dict) else None
    if not isinstance(found, list):
        # a preview that failed has no steps: that must not look like one that loses nothing
        cause = "it has no list `steps`: the preview failed, or this is another document"
        raise LabError(f"{path} is no preview", cause=cause, hint=hint, code="preview")
    return [cast("Mapping[str, Any]", each) for each in cast("list[Any]", found) if isinstance(each, Mapping)]


def judge(
    steps: Sequence[Mapping[str, Any]], acknowledged: Sequence[Acknowledgement], today: dt.date | None = None
) -> list[Finding]:
    """The stateful resources that the preview would replace or remove."""
    day = today or dt.datetime.now(dt.UTC).date()
    by_urn = {each.urn: each for each in acknowledged}
    found: dict[str, Finding] = {}
    for step in steps:
        urn, fate = str(step.get("urn", "")), _FATES.get(str(step.get("op", "")))
        what = STATEFUL.get(_type(urn))
        if fate is None or what is None:
            continue
        agreed = by_urn.get(urn)
        in_force = agreed if agreed is not None and agreed.expires >= day else None
        problem = f"the acknowledgement of {agreed.owner} expired on {agreed.expires}" if agreed else ""
        because = tuple(map(str, step.get("replaceReasons") or ()))
        before = found.get(urn)
        if before is not None and before.because:
            because = before.because
        found[urn] = Finding(urn, what, fate, because, in_force, "" if in_force else problem)
    return sorted(found.values(), key=lambda each: (not each.open, each.urn))


def unused(
    steps: Sequence[Mapping[str, Any]], acknowledged: Sequence[Acknowledgement], findings: Sequence[Finding]
) -> list[Acknowledgement]:
    """Acknowledgements of the previewed stack that cover nothing; those of other stacks are not judged."""
    stacks = {_stack(str(step.get("urn", ""))) for step in steps}
    covered = {each.urn for each in findings}
    return [each for each in acknowledged if _stack(each.urn) in stacks and each.urn not in covered]


def _stack(urn: str) -> str:
    return urn.removeprefix("urn:pulumi:").split("::")[0]


def _type(urn: str) -> str:
    parts = urn.split("::")
    return parts[2].rsplit("$", 1)[-1] if len(parts) > 3 else ""
