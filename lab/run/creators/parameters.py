"""SSM parameters, Secrets Manager secrets and log groups in the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run.creators.calls import attempt
from lab.run.world import World

Outputs = Mapping[str, Any]


def parameter(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created, or overwritten when its value changed; an unchanged one keeps its version."""
    inputs, ssm = resource.inputs, world.client("ssm")
    name = str(inputs.get("name") or resource.name)
    value, kind = str(inputs.get("value", "")), str(inputs.get("type", "String"))
    found = attempt(lambda: ssm.get_parameter(Name=name, WithDecryption=True), "ParameterNotFound")
    before: Mapping[str, Any] = found["Parameter"] if found else {}
    if (before.get("Value"), before.get("Type")) == (value, kind):
        version = before["Version"]
    else:
        version = ssm.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)["Version"]
    return {"id": name, "name": name, "version": int(version)}


def secret(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created once; its value is another resource's, or an operator's."""
    name = str(resource.inputs.get("name") or resource.name)
    arn = ensure_secret(world.client("secretsmanager"), name)
    return {"id": arn, "arn": arn, "name": name}


def secret_version(world: World, resource: Resource, _: Outputs) -> Outputs:
    """The value of a secret."""
    client, given = world.client("secretsmanager"), resource.inputs
    secret_id, value = str(given["secretId"]), str(given.get("secretString", ""))
    version = put_secret(client, secret_id, value)
    return {"id": f"{secret_id}|{version}", "arn": secret_id, "versionId": version}


def log_group(world: World, resource: Resource, _: Outputs) -> Outputs:
    """A group that boto3 in an app can find; services themselves log to files here."""
    logs = world.client("logs")
    name = str(resource.inputs.get("name") or resource.name)
    attempt(lambda: logs.create_log_group(logGroupName=name), "ResourceAlreadyExistsException")
    return {"id": name, "name": name}


def ensure_secret(client: Any, name: str) -> str:
    """The ARN of the secret of this name, made if it is not there."""
    found = attempt(lambda: client.describe_secret(SecretId=name), "ResourceNotFoundException")
    return str((found or client.create_secret(Name=name))["ARN"])


def put_secret(client: Any, secret_id: str, value: str) -> str:
    """Put the value unless it is the present one; the version's id."""
    # a secret without a value is as good as one with another value
    found = attempt(lambda: client.get_secret_value(SecretId=secret_id), "ResourceNotFoundException")
    now: Mapping[str, Any] = found or {}
    if now.get("SecretString") == value:
        return str(now["VersionId"])
    return str(client.put_secret_value(SecretId=secret_id, SecretString=value)["VersionId"])


MAKERS = {
    "aws:ssm/parameter:Parameter": parameter,
    "aws:secretsmanager/secret:Secret": secret,
    "aws:secretsmanager/secretVersion:SecretVersion": secret_version,
    "aws:cloudwatch/logGroup:LogGroup": log_group,
}
