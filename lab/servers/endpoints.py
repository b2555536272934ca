"""Where a server is and how to get in: what the run and the tests are handed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class PostgresServer:
    """PostgreSQL behind TLS; `program` says which one it is."""

    host: str
    port: int
    admin_user: str
    admin_password: str
    database: str
    ca_file: Path
    program: str
    external: bool = False

    def dsn(self, database: str | None = None, user: str | None = None, password: str | None = None) -> str:
        """A libpq URL with the server's name checked against the CA."""
        who = f"{quote(user or self.admin_user, safe='')}:{quote(password or self.admin_password, safe='')}"
        return (
            f"postgresql://{who}@{self.host}:{self.port}/{quote(database or self.database, safe='')}"
            f"?sslmode=verify-full&sslrootcert={quote(str(self.ca_file), safe='/')}"
        )


@dataclass(frozen=True)
class RedisServer:
    """A Redis-protocol server behind TLS. `password` is the default user's; `admin_user` may change it."""

    host: str
    port: int
    password: str
    ca_file: Path
    program: str
    admin_user: str = "default"
    admin_password: str = ""
    external: bool = False

    def url(self, database: int = 0) -> str:
        """For redis-py; give it `ssl_ca_certs` too."""
        return f"rediss://:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}?{self._tls()}"

    def admin_url(self, database: int = 0) -> str:
        """The same as the lab's own user, whose password no stack changes."""
        who = f"{quote(self.admin_user, safe='')}:{quote(self.admin_password or self.password, safe='')}"
        return f"rediss://{who}@{self.host}:{self.port}/{database}?{self._tls()}"

    def _tls(self) -> str:
        ca_file = quote(str(self.ca_file), safe="/")
        return f"ssl_cert_reqs=required&ssl_check_hostname=true&ssl_ca_certs={ca_file}"


@dataclass(frozen=True)
class AwsEndpoint:
    """The AWS APIs: an emulator here, or a real endpoint."""

    url: str
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: str
    program: str
    external: bool = False

    def environment(self, caller: str = "") -> dict[str, str]:
        """What boto3 in a started process needs; the emulator's recording knows it by the caller's name."""
        values = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        # another endpoint would look at the token, and it records nothing for us
        return values if self.external or not caller else {**values, "AWS_SESSION_TOKEN": caller}
