"""Bring a database to the schema of this version: numbered SQL files, each applied once, in a transaction."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

import psycopg
from psycopg import sql

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

log = Log("slipway.migrations")

SQL_DIRECTORY: Final = Path(__file__).parent / "sql"
#: Advisory lock of all Slipway migrations in a database ("slipway" as a number).
LOCK_KEY: Final = 0x736C_6970_7761_79
_FILE: Final = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

_HISTORY: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class MigrationError(Exception):
    """The schema can't be brought up to date; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and what it holds."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """What the history remembers, so that an edited file is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(directory: Path = SQL_DIRECTORY) -> list[Migration]:
    """Read the files in order; a gap, a double number or a foreign name is an error."""
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationError(
                f"{path.name} is no migration. hint: name it NNNN_what_it_does.sql in {directory.name}/"
            )
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    for place, migration in enumerate(found, start=1):
        if migration.version != place:
            raise MigrationError(
                f"migration {migration.version:04d}_{migration.name} stands where {place:04d} should. "
                "hint: number the files 0001, 0002, ... without gaps or doubles"
            )
    return found


def migrate(
    connect: Mapping[str, Any],
    *,
    app_username: str,
    app_password: str,
    lock_timeout_seconds: float = 600.0,
    directory: Path = SQL_DIRECTORY,
) -> list[Migration]:
    """Apply what is missing and set the app's role; returns what was applied now.

    `connect` are keyword arguments of `psycopg.connect` for a direct connection (no pooler between: the
    lock belongs to the session), with a user that may create tables and roles.
    """
    migrations = load(directory)
    arguments: dict[str, Any] = {**connect, "autocommit": True}
    with psycopg.connect(**arguments) as connection:
        _lock(connection, lock_timeout_seconds)
        connection.execute(_HISTORY)
        pending = _pending(connection, migrations)
        for migration in pending:
            _apply(connection, migration)
        _app_role(connection, app_username, app_password)
    return pending


def _lock(connection: psycopg.Connection[Any], seconds: float) -> None:
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{int(seconds * 1000)}ms",))
    begun = time.monotonic()
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"another migration holds the lock for more than {seconds:g} s. "
            "hint: look for it in pg_stat_activity (it waits in or runs pg_advisory_lock's session)"
        ) from error
    waited = time.monotonic() - begun
    if waited > 1:
        log.info("migration.waited", seconds=round(waited, 1))


def _pending(connection: psycopg.Connection[Any], migrations: list[Migration]) -> list[Migration]:
    rows = connection.execute("SELECT version, name, checksum FROM schema_migrations").fetchall()
    applied = {int(row[0]): (str(row[1]), str(row[2])) for row in rows}
    known = {migration.version for migration in migrations}
    newer = sorted(set(applied) - known)
    if newer:
        # a rolled back deploy: the newer schema stays, and this version must live with it
        log.warning("migration.schema_newer", versions=newer)
    for migration in migrations:
        before = applied.get(migration.version)
        if before is not None and before[1] != migration.checksum:
            raise MigrationError(
                f"migration {migration.version:04d}_{migration.name} was changed after it was applied "
                f"(as {before[0]}, checksum {before[1][:12]}, now {migration.checksum[:12]}). "
                "hint: restore the file and write the change as a new migration"
            )
    return [migration for migration in migrations if migration.version not in applied]


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    begun = time.monotonic()
    try:
        with connection.transaction():
            # a migration is this repository's own file, not input
            connection.execute(sql.SQL(cast("LiteralString", migration.text)))
            connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
    except psycopg.Error as error:
        raise MigrationError(
            f"migration {migration.version:04d}_{migration.name} failed and was rolled back: {error}. "
            "hint: correct the file, or the data that stands in its way, and run the migrations again"
        ) from error
    log.info(
        "migration.applied",
        version=migration.version,
        name=migration.name,
        seconds=round(time.monotonic() - begun, 3),
    )


def _app_role(connection: psycopg.Connection[Any], username: str, password: str) -> None:
    """Create or update the role the apps log in as: rows of tables are all it may touch."""
    role = sql.Identifier(username)
    # the verifier is computed here, so that no server log ever sees the password
    verifier = connection.pgconn.encrypt_password(
        password.encode(), username.encode(), b"scram-sha-256"
    ).decode()
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (username,)).fetchone()
    database = connection.execute("SELECT current_database()").fetchone()
    assert database is not None  # noqa: S101  # a query without FROM returns its row
    with connection.transaction():
        verb = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(verb.format(role, sql.Literal(verifier)))
        for statement in (
            "GRANT CONNECT ON DATABASE {database} TO {role}",
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",  # noqa: E501  # one statement, one line
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM {role}",
        ):
            connection.execute(sql.SQL(statement).format(role=role, database=sql.Identifier(database[0])))
    log.info("migration.role", username=username, created=exists is None)
