"""DynamoDB tables in the emulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.model import Resource
from lab.run.creators.calls import attempt
from lab.run.world import World

Outputs = Mapping[str, Any]


def table(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created with its keys and indexes, or found with its items."""
    client, given = world.client("dynamodb"), resource.inputs
    name = str(given.get("name") or resource.name)
    wanted: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",  # capacity has no meaning on one machine
        "KeySchema": _keys(given.get("hashKey"), given.get("rangeKey")),
        "AttributeDefinitions": [
            {"AttributeName": one["name"], "AttributeType": one["type"]}
            for one in given.get("attributes", ())
        ],
    }
    for key, field in (
        ("globalSecondaryIndexes", "GlobalSecondaryIndexes"),
        ("localSecondaryIndexes", "LocalSecondaryIndexes"),
    ):
        if given.get(key):
            wanted[field] = [_index(one, given.get("hashKey")) for one in given[key]]
    if given.get("streamEnabled"):
        wanted["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": given.get("streamViewType")}
    made = attempt(lambda: client.create_table(**wanted)["TableDescription"], "ResourceInUseException")
    found = made or client.describe_table(TableName=name)["Table"]
    return {"id": name, "name": name, "arn": found["TableArn"], "streamArn": found.get("LatestStreamArn", "")}


def _keys(hash_key: Any, range_key: Any) -> list[dict[str, str]]:
    named = (("HASH", hash_key), ("RANGE", range_key))
    return [{"AttributeName": str(name), "KeyType": kind} for kind, name in named if name]


def _index(one: Mapping[str, Any], table_hash: Any) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": one.get("projectionType", "ALL")}
    others: Sequence[str] = one.get("nonKeyAttributes") or ()
    if others:
        projection["NonKeyAttributes"] = list(others)
    keys = _keys(one.get("hashKey") or table_hash, one.get("rangeKey"))
    return {"IndexName": one["name"], "KeySchema": keys, "Projection": projection}


MAKERS = {"aws:dynamodb/table:Table": table}
