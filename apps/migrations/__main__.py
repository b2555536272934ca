"""`python -m apps.migrations`: the one-off task every deploy runs before its services."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

import boto3
import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from apps.migrations.runner import MigrationError, migrate
from apps.migrations.settings import MigrationsSettings
from apps.platform import log as logs
from apps.platform import telemetry
from apps.platform.log import Log
from apps.platform.settings import SettingsError, load_settings

log = Log("slipway.migrations")


def main() -> int:
    """Exit 0 when the schema is up to date, 1 when it could not be made so, 2 on a wrong environment."""
    try:
        settings = load_settings(MigrationsSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(level=settings.log_level, stack=settings.stack, service=settings.service)
    with telemetry.use(telemetry.new()):
        try:
            applied = migrate(
                connect_arguments(settings, administrator(settings)),
                app_username=settings.database_app_username,
                app_password=settings.database_app_password.get_secret_value(),
                lock_timeout_seconds=settings.lock_timeout_seconds,
            )
        except (MigrationError, psycopg.Error) as error:
            log.error("migration.failed", reason=str(error).strip())  # noqa: TRY400  # its message says it all
            return 1
        log.info("migration.done", applied=[f"{item.version:04d}_{item.name}" for item in applied])
    return 0


def administrator(settings: MigrationsSettings) -> tuple[str, str]:
    """Read the administrator's current user name and password from Secrets Manager."""
    arn = settings.database_admin_secret_arn
    try:
        # boto3 has no types
        client = cast("Any", boto3).client("secretsmanager", region_name=settings.aws_region)
        answer: dict[str, Any] = client.get_secret_value(SecretId=arn)
        secret: dict[str, Any] = json.loads(answer["SecretString"])
        return str(secret["username"]), str(secret["password"])
    except (BotoCoreError, ClientError) as error:
        raise MigrationError(
            f"the administrator's secret {arn} can't be read: {error}. "
            "hint: check DATABASE_ADMIN_SECRET_ARN and secretsmanager:GetSecretValue of the task's role"
        ) from error
    except (KeyError, ValueError) as error:
        raise MigrationError(
            f'the administrator\'s secret {arn} is not {{"username", "password"}}. '
            "hint: give the secret that RDS manages for the instance"
        ) from error


def connect_arguments(settings: MigrationsSettings, credentials: tuple[str, str]) -> dict[str, Any]:
    """Return what `psycopg.connect` needs: a direct connection over TLS with the server's name checked."""
    return {
        "host": settings.database_host,
        "port": settings.database_port,
        "dbname": settings.database_name,
        "user": credentials[0],
        "password": credentials[1],
        "sslmode": "verify-full",
        "sslrootcert": settings.database_ca_file,
        "connect_timeout": 10,
        "application_name": f"slipway-{settings.service}",
    }


if __name__ == "__main__":
    sys.exit(main())
