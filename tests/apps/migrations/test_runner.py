"""Migrations on a real server: order, history, the lock, the app's role, and what goes wrong."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from apps.migrations.runner import LOCK_KEY, MigrationError, load, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "app-password-of-the-tests"
TABLES = {"entities", "filters", "outbox", "schema_migrations"}


@pytest.fixture
def empty(postgres: Any) -> Iterator[str]:
    """The address of a database without any schema."""
    name = f"slipway_empty_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # pyright: ignore[reportArgumentType, reportCallIssue]
        yield postgres.dsn(name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
def role(postgres: Any) -> Iterator[str]:
    """The name of an app role of this test's own."""
    name = f"slipway_role_{secrets.token_hex(4)}"
    yield name
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f'DROP ROLE IF EXISTS "{name}"')  # pyright: ignore[reportArgumentType, reportCallIssue]


def run(dsn: str, role: str, password: str = PASSWORD, **more: Any) -> list[str]:
    """Migrate and return the names of what was applied."""
    return [
        item.name for item in migrate({"conninfo": dsn}, app_username=role, app_password=password, **more)
    ]


def drop_owned(dsn: str, role: str) -> None:
    """Take the role's rights in this database away, so that it can be dropped."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'DROP OWNED BY "{role}"')  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_new_database_gets_everything_once(empty: str, role: str) -> None:
    """The first run applies all files in order, the second none."""
    assert run(empty, role) == [item.name for item in load()]
    assert run(empty, role) == []
    with psycopg.connect(empty) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        versions = connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    assert {row[0] for row in names} == TABLES
    assert [row[0] for row in versions] == list(range(1, len(load()) + 1))
    drop_owned(empty, role)


def test_the_apps_role_may_change_rows_and_nothing_else(empty: str, role: str) -> None:
    """The role reads and writes rows; it creates, alters and drops nothing, and history is read-only to it."""
    run(empty, role)
    allowed = [
        "INSERT INTO entities (id, kind, lat, lon, access_owner) VALUES ('a', 'b', 1, 2, 'u')",
        "UPDATE entities SET lat = 2",
        "INSERT INTO outbox (destination, payload) VALUES ('stream:s', 'x')",
        "DELETE FROM outbox",
        "SELECT * FROM schema_migrations",
    ]
    refused = [
        "CREATE TABLE mine (id int)",
        "DROP TABLE entities",
        "ALTER TABLE entities ADD COLUMN x int",
        "TRUNCATE entities",
        "DELETE FROM schema_migrations",
        "CREATE ROLE other",
    ]
    with psycopg.connect(empty, user=role, password=PASSWORD, autocommit=True) as connection:
        for statement in allowed:
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
    drop_owned(empty, role)


def test_tables_of_later_migrations_are_the_apps_too(empty: str, role: str, tmp_path: Path) -> None:
    """What a later migration creates is open to the role without naming it."""
    write(tmp_path, "0001_one", "CREATE TABLE one (id int)")
    run(empty, role, directory=tmp_path)
    write(tmp_path, "0002_two", "CREATE TABLE two (id int GENERATED ALWAYS AS IDENTITY, n int)")
    assert run(empty, role, directory=tmp_path) == ["two"]
    with psycopg.connect(empty, user=role, password=PASSWORD) as connection:
        connection.execute("INSERT INTO two (n) VALUES (1)")
    drop_owned(empty, role)


def test_a_new_password_replaces_the_old(empty: str, role: str) -> None:
    """The role follows its secret: the next run sets the new password."""
    run(empty, role)
    run(empty, role, "another-password")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(empty, user=role, password=PASSWORD)
    with psycopg.connect(empty, user=role, password="another-password") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    drop_owned(empty, role)


def test_an_older_schema_is_brought_up_to_date(empty: str, role: str, tmp_path: Path) -> None:
    """A database that stopped at the first migration keeps its rows and gets the rest."""
    first = load()[0]
    write(tmp_path, f"{first.version:04d}_{first.name}", first.text)
    run(empty, role, directory=tmp_path)
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO entities (id, kind, lat, lon, access_owner) VALUES ('a','b',1,2,'u')")
    assert run(empty, role) == [item.name for item in load()[1:]]
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT id FROM entities").fetchall() == [("a",)]
    drop_owned(empty, role)


def test_two_at_once_are_harmless(empty: str, role: str) -> None:
    """Of four runs started together one applies everything, the others wait and apply nothing."""
    results: list[list[str]] = []
    errors: list[BaseException] = []
    gate = threading.Barrier(4)

    def go() -> None:
        try:
            gate.wait()
            results.append(run(empty, role))
        except BaseException as error:  # noqa: BLE001  # reported below
            errors.append(error)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(len(result) for result in results) == [0, 0, 0, len(load())]
    drop_owned(empty, role)


def test_a_held_lock_ends_with_advice(empty: str, role: str) -> None:
    """Who can't have the lock in time says who to look for, and changes nothing."""
    with psycopg.connect(empty, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(MigrationError, match=r"holds the lock for more than 0\.2 s"):
            run(empty, role, lock_timeout_seconds=0.2)
        assert holder.execute("SELECT to_regclass('entities')").fetchone() == (None,)


def test_a_changed_file_is_noticed(empty: str, role: str, tmp_path: Path) -> None:
    """Editing what was applied is refused with the file's name, and nothing is applied."""
    write(tmp_path, "0001_one", "CREATE TABLE one (id int)")
    run(empty, role, directory=tmp_path)
    write(tmp_path, "0001_one", "CREATE TABLE one (id bigint)")
    write(tmp_path, "0002_two", "CREATE TABLE two (id int)")
    with pytest.raises(MigrationError, match="0001_one was changed after it was applied"):
        run(empty, role, directory=tmp_path)
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('two')").fetchone() == (None,)
    drop_owned(empty, role)


def test_a_failing_migration_is_rolled_back(empty: str, role: str, tmp_path: Path) -> None:
    """Half of a migration never stays; after the correction the run goes on."""
    write(tmp_path, "0001_one", "CREATE TABLE one (id int); SELECT 1/0")
    with pytest.raises(MigrationError, match=r"0001_one failed and was rolled back: division by zero"):
        run(empty, role, directory=tmp_path)
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('one')").fetchone() == (None,)
    write(tmp_path, "0001_one", "CREATE TABLE one (id int)")
    assert run(empty, role, directory=tmp_path) == ["one"]
    drop_owned(empty, role)


def test_a_newer_schema_is_left_alone(empty: str, role: str, tmp_path: Path) -> None:
    """After a rolled back deploy the older version runs on the newer schema."""
    write(tmp_path, "0001_one", "CREATE TABLE one (id int)")
    write(tmp_path, "0002_two", "CREATE TABLE two (id int)")
    run(empty, role, directory=tmp_path)
    (tmp_path / "0002_two.sql").unlink()
    assert run(empty, role, directory=tmp_path) == []
    drop_owned(empty, role)


@pytest.mark.parametrize("names", [["0002_x"], ["0001_x", "0001_y"], ["0001_x", "0003_y"], ["first"]])
def test_numbers_without_gaps_or_doubles(tmp_path: Path, names: list[str]) -> None:
    """Files that are not numbered 0001, 0002, ... are refused before anything runs."""
    for name in names:
        write(tmp_path, name, "SELECT 1")
    with pytest.raises(MigrationError, match="hint: "):
        load(tmp_path)


def write(folder: Path, name: str, text: str) -> None:
    """Put a migration into a folder."""
    (folder / f"{name}.sql").write_text(text)
