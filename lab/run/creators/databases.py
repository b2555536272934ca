"""The managed database and cache: the servers of this machine, with the names and passwords of the stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lab.errors import LabError
from lab.model import Resource
from lab.run.creators.parameters import ensure_secret, put_secret
from lab.run.creators.passwords import generate
from lab.run.world import World

if TYPE_CHECKING:
    from psycopg import Connection

Outputs = Mapping[str, Any]


def instance(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """PostgreSQL with the stack's database and master user, and the managed secret of that user."""
    given, server = resource.inputs, world.running().postgres
    engine = str(given.get("engine", "postgres"))
    if "postgres" not in engine:
        raise LabError(
            f"database {resource.name!r} has the engine {engine!r}",
            cause="PostgreSQL is the only database that runs on this machine",
            hint="use engine postgres",
            code="unsupported-engine",
        )
    user = str(given.get("username") or server.admin_user)
    database = str(given.get("dbName") or server.database)
    managed = bool(given.get("manageMasterUserPassword"))
    password = str(
        world.memory.once(f"master {resource.urn}", lambda: generate({"length": 32, "special": False}))
        if managed
        else given.get("password", "")
    )
    _prepare(server.dsn(), user, password, database)
    outputs: dict[str, Any] = {
        "address": server.host,
        "endpoint": f"{server.host}:{server.port}",
        "port": server.port,
        "dbName": database,
        "username": user,
    }
    if managed:
        outputs["masterUserSecrets"] = [_master_secret(world, resource, computed, user, password)]
    return outputs


def _master_secret(
    world: World, resource: Resource, computed: Outputs, user: str, password: str
) -> dict[str, str]:
    client = world.client("secretsmanager")
    pretended: Any = computed["masterUserSecrets"][0]
    # RDS names it `rds!db-<uuid>`; policies match that form
    name = str(pretended["secretArn"]).partition(":secret:")[2].rpartition("-")[0]
    arn = ensure_secret(client, str(world.memory.once(f"master secret {resource.urn}", lambda: name)))
    put_secret(client, arn, json.dumps({"username": user, "password": password}))
    return {
        "secretArn": arn,
        "secretStatus": "active",
        "kmsKeyId": str(resource.inputs.get("masterUserSecretKmsKeyId") or pretended["kmsKeyId"]),
    }


def _prepare(dsn: str, user: str, password: str, database: str) -> None:
    """The master user as RDS has it (may make roles and databases, is no superuser), and its database."""
    import psycopg  # noqa: PLC0415  only `up` pays for it
    from psycopg import sql  # noqa: PLC0415

    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        role = sql.Identifier(user)
        rights = sql.SQL("{} LOGIN CREATEROLE CREATEDB PASSWORD {}").format(role, sql.Literal(password))
        if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", user):
            connection.execute(sql.SQL("CREATE ROLE {}").format(rights))
        elif user != connection.info.user:
            connection.execute(sql.SQL("ALTER ROLE {}").format(rights))
        if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), role))
        else:
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), role)
            )


def _exists(connection: Connection[Any], query: str, name: str) -> bool:
    return connection.execute(query.encode(), (name,)).fetchone() is not None


def replication_group(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Valkey with the stack's auth token."""
    import redis  # noqa: PLC0415  only `up` pays for it

    server = world.running().redis
    token = str(resource.inputs.get("authToken") or "")
    if token and not server.external:
        client: Any = cast("Any", redis.Redis).from_url(server.admin_url(), socket_timeout=10)
        try:
            client.config_set("requirepass", token)
        finally:
            client.close()
    return {
        "primaryEndpointAddress": server.host,
        "readerEndpointAddress": server.host,
        "configurationEndpointAddress": server.host,
        "port": server.port,
    }


MAKERS = {
    "aws:rds/instance:Instance": instance,
    "aws:elasticache/replicationGroup:ReplicationGroup": replication_group,
}
