"""A local OIDC issuer: one RSA key in the state folder, its public keys, and tokens that the apps accept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from lab.errors import LabError
from lab.servers.state import write_private

ISSUER = "http://127.0.0.1:8080/.slipway"
AUDIENCE = "slipway"
DEMO_SCOPES = ("entities:read", "entities:write", "filters:read", "filters:write", "figures:read")
DEFAULT_SECONDS = 12 * 3600
MAX_SECONDS = 365 * 24 * 3600


class Issuer:
    """Only for a stack on this machine: whoever reads the key file can be anybody here."""

    def __init__(self, folder: Path, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self.folder = folder
        self.issuer = issuer
        self.audience = audience

    @cached_property
    def _key(self) -> RSAPrivateKey:
        path = self.folder / "issuer.key"
        if not path.is_file():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = generate_private_key(public_exponent=65537, key_size=2048)
            text = fresh.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(path, text.decode())
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError as problem:
            raise _bad_key(path, str(problem)) from problem
        if not isinstance(key, RSAPrivateKey):
            raise _bad_key(path, f"it holds a {type(key).__name__}")
        return key

    @cached_property
    def key_id(self) -> str:
        """Changes with the key, so that verifiers fetch the new one."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()[:16]

    def jwks(self) -> dict[str, Any]:
        """The public keys, as `AUTH_JWKS_URL` answers."""
        key: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def token(
        self,
        user: str,
        scope: str | Sequence[str] = DEMO_SCOPES,
        groups: Sequence[str] = (),
        ttl: float = DEFAULT_SECONDS,
        **claims: Any,
    ) -> str:
        """A signed token; `ttl` seconds may be negative, for a token that has expired. `claims` override."""
        if not user or ttl > MAX_SECONDS:
            raise LabError(
                "the token cannot be made",
                cause="it needs a user" if not user else f"it would live {ttl:.0f} s, at most {MAX_SECONDS}",
                hint="run `slipway token --user NAME`",
                code="bad-token-request",
            )
        now = int(time.time())
        payload = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user,
            "iat": now,
            "exp": now + int(ttl),
            "scope": scope if isinstance(scope, str) else " ".join(scope),
            "groups": list(groups),
            **claims,
        }
        return jwt.encode(payload, self._key, algorithm="RS256", headers={"kid": self.key_id})


def _bad_key(path: Path, cause: str) -> LabError:
    return LabError(
        f"{path} is no RSA key",
        cause=cause,
        hint=f"remove {path}: a new key is made, and tokens must be asked for again",
        code="bad-key",
    )
