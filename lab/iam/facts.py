"""What a resolved graph says of the resources that calls name: who they are, and which key they are under."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

from lab.iam.model import Need
from lab.model import Graph, Resource

KEY: Final = "aws:kms/key:Key"
ALIAS: Final = "aws:kms/alias:Alias"
DATABASE: Final = "aws:rds/instance:Instance"
TASK_DEFINITION: Final = "aws:ecs/taskDefinition:TaskDefinition"

# the token of what can lie under a key of one's own -> the input that names the key
_KEY_INPUTS: Final[Mapping[str, str]] = {
    "aws:ssm/parameter:Parameter": "keyId",
    "aws:secretsmanager/secret:Secret": "kmsKeyId",
    "aws:sqs/queue:Queue": "kmsMasterKeyId",
    "aws:sns/topic:Topic": "kmsMasterKeyId",
}
# what a service asks of the key in the caller's name; the service's manual says so for each
_KEY_USES: Final[Mapping[str, tuple[str, ...]]] = {
    "ssm:GetParameter": ("kms:Decrypt",),
    "ssm:GetParameters": ("kms:Decrypt",),
    "ssm:GetParametersByPath": ("kms:Decrypt",),
    "ssm:PutParameter": ("kms:Encrypt",),
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "secretsmanager:PutSecretValue": ("kms:Decrypt", "kms:GenerateDataKey"),
    "sqs:SendMessage": ("kms:Decrypt", "kms:GenerateDataKey"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
    "sns:Publish": ("kms:Decrypt", "kms:GenerateDataKey"),
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:Decrypt", "kms:GenerateDataKey"),
}
_PRIMARY: Final = "aws:ResourceTag/aws:rds:primaryDBInstanceArn"


class UnknownNeedError(Exception):
    """It cannot be told what a call needs of its role."""


@dataclass(frozen=True)
class Facts:
    """One stack, resolved."""

    graph: Graph
    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this stack's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    @property
    def request(self) -> Mapping[str, str]:
        """What is so of every request of this stack's roles."""
        return {"aws:RequestedRegion": self.region, "aws:PrincipalAccount": self.account}

    @cached_property
    def by_arn(self) -> Mapping[str, Resource]:
        """Resources by their ARN."""
        return {str(one.outputs["arn"]): one for one in self.graph if isinstance(one.outputs.get("arn"), str)}

    def key(self, reference: str) -> tuple[str, tuple[str, ...]] | None:
        """The ARN, its id left open, and the aliases of a key of this stack; by id, ARN or alias."""
        word = reference.rpartition(":key/")[2].rpartition(":")[2]
        for alias in self.graph.of_type(ALIAS):
            name, target = str(alias.inputs.get("name")), str(alias.inputs.get("targetKeyId"))
            if word in (name, target, target.rpartition("/")[2]):
                return self.arn("kms", "key/{id}"), self._aliases(target.rpartition("/")[2])
        return None

    def _aliases(self, key_id: str) -> tuple[str, ...]:
        aliases = self.graph.of_type(ALIAS)
        return tuple(
            sorted(
                str(one.inputs["name"]) for one in aliases if str(one.inputs["targetKeyId"]).endswith(key_id)
            )
        )

    def key_need(self, action: str, reference: str, reason: str, via: str = "") -> Need:
        """Use of a key, directly or in the name of a service that was called."""
        found = self.key(reference)
        if found is None:
            raise UnknownNeedError(f"{reference} is no key of this stack with an alias")
        arn, aliases = found
        service = {"kms:ViaService": f"{via}.{self.region}.amazonaws.com"} if via else {}
        return Need(action, arn, reason, {**self.request, **service}, {"kms:ResourceAliases": aliases})

    def secret(self, arn: str) -> tuple[str, Mapping[str, str]]:
        """A secret's ARN with what AWS chooses left open, and the tag that tells managed ones apart."""
        head, _, name = arn.rpartition(":secret:")
        if not name.startswith("rds!"):
            # Secrets Manager adds a hyphen and six characters
            body = name[:-7] if len(name) > 7 and name[-7] == "-" else name
            return f"{head}:secret:{body}-{{id}}", {}
        return f"{head}:secret:rds!db-{{id}}", {_PRIMARY: str(self._managed().outputs["arn"])}

    def _managed(self) -> Resource:
        found = [one for one in self.graph.of_type(DATABASE) if one.inputs.get("manageMasterUserPassword")]
        if len(found) != 1:
            raise UnknownNeedError(
                f"the secret of a database is read and the stack has {len(found)} databases with managed ones"
            )
        return found[0]

    def companions(self, need: Need) -> Iterator[Need]:
        """What the called service asks of a key in the role's name, where the resource lies under one."""
        for action in _KEY_USES.get(need.action, ()):
            reference = self._key_of(need)
            if reference is not None:
                via = need.action.partition(":")[0]
                yield self.key_need(
                    action, reference, f"{need.action} of what is encrypted ({need.reason})", via
                )

    def _key_of(self, need: Need) -> str | None:
        """The key as the resource's inputs name it; None for AWS's own keys, which need no permission."""
        if _PRIMARY in need.properties:
            return _own_key(self._managed().inputs.get("masterUserSecretKmsKeyId"))
        service = need.resource.split(":")[2]
        if service == "s3":
            return self._bucket_key(need.resource.rpartition(":::")[2].partition("/")[0])
        for token, name in _KEY_INPUTS.items():
            for one in self.graph.of_type(token):
                if self._is(one, need.resource):
                    return _own_key(one.inputs.get(name))
        return None

    def _is(self, one: Resource, arn: str) -> bool:
        own = str(one.outputs.get("arn", ""))
        return own == arn or (arn.endswith("-{id}") and own.rpartition("-")[0] == arn.removesuffix("-{id}"))

    def _bucket_key(self, bucket: str) -> str | None:
        for one in self.graph:
            if "erverSideEncryption" in one.type and one.type.startswith("aws:s3/"):
                rules: Any = one.inputs.get("rules") or ()
                for rule in rules if str(one.inputs.get("bucket")) == bucket else ():
                    default: dict[str, Any] = rule.get("applyServerSideEncryptionByDefault") or {}
                    return _own_key(default.get("kmsMasterKeyId"))
        return None

    def containers(self, definition: Resource) -> list[dict[str, Any]]:
        """The containers of a task definition."""
        try:
            document: Any = json.loads(str(definition.inputs["containerDefinitions"]))
        except (ValueError, KeyError):
            raise UnknownNeedError(
                f"the containers of task definition {definition.name} are no JSON"
            ) from None
        return cast("list[dict[str, Any]]", document)


def _own_key(value: object) -> str | None:
    return value if isinstance(value, str) and value and not value.startswith("alias/aws/") else None
