"""Bearer tokens of any OIDC issuer, verified against its keys, issuer and audience (HTTP and websockets)."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.request import Request, urlopen

import jwt

from apps.platform.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from apps.platform.settings import AuthSettings

log = Log("slipway.auth")

#: Asymmetric only: `none` and HMAC would let a caller sign with what it knows.
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
#: Clocks of issuer and server may differ this much.
LEEWAY_SECONDS: Final = 30
#: Keys are fetched again after this long, and at most this often when a token names an unknown one.
KEYS_SECONDS: Final = 600.0
REFRESH_SECONDS: Final = 10.0
#: An issuer that is away for longer than this can't vouch for its keys any more.
STALE_SECONDS: Final = 86_400.0
_FETCH_SECONDS: Final = 5.0
_MAX_KEYS_BYTES: Final = 262_144
_MAX_TOKEN: Final = 8192
#: A verified token is believed this long without asking its key again (a removed key ends within it).
VERIFIED_SECONDS: Final = 30.0
_MAX_VERIFIED: Final = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, what they belong to, and what their token allows until when."""

    user: str
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    expires_at: float = 0.0

    def require(self, scope: str) -> None:
        """Raise unless the token has `scope`."""
        if scope not in self.scopes:
            raise ForbiddenError(
                f"the token lacks the scope {scope}",
                code="scope.missing",
                headers={"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            )


class TokenError(UnauthenticatedError):
    """A token that does not hold; `reason` says how (expired, forged, wrong audience, ...)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(
            detail,
            code=reason,
            headers={"www-authenticate": f'Bearer error="invalid_token", error_description="{detail}"'},
        )


async def fetch(url: str) -> bytes:
    """GET the key set; in a thread, because it happens once in ten minutes."""
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"AUTH_JWKS_URL is no http(s) address: {url}")

    def get() -> bytes:
        request = Request(url, headers={"accept": "application/json"})  # noqa: S310  # checked above
        with urlopen(request, timeout=_FETCH_SECONDS) as answer:  # noqa: S310  # checked above
            return cast("bytes", answer.read(_MAX_KEYS_BYTES))

    return await asyncio.to_thread(get)


class KeySet:
    """The issuer's keys: cached, refreshed in time, kept while the issuer is away."""

    def __init__(self, url: str, get: Callable[[str], Awaitable[bytes]] = fetch) -> None:
        self._url = url
        self._get = get
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key a token names, asking the issuer when it is new to us."""
        if time.monotonic() - self._fetched_at > KEYS_SECONDS:
            await self._refresh()
        key = self._pick(kid)
        if key is None:
            await self._refresh()
            key = self._pick(kid)
        return key

    def _pick(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            # allowed by OIDC only where the choice is plain
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        asked_at = time.monotonic()
        async with self._lock:
            # somebody fetched while we waited, or unknown key ids come faster than one should ask an issuer
            if self._tried_at > asked_at or asked_at - self._tried_at < REFRESH_SECONDS:
                self._require_fresh()
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = parse_keys(await self._get(self._url))
                self._fetched_at = time.monotonic()
            except (OSError, ValueError) as error:
                log.warning("auth.keys_unavailable", url=self._url, error=f"{type(error).__name__}: {error}")
                self._require_fresh()

    def _require_fresh(self) -> None:
        if time.monotonic() - self._fetched_at > STALE_SECONDS:
            raise UnavailableError(
                f"the issuer's keys can't be read from {self._url}",
                code="auth.keys_unavailable",
                headers={"retry-after": str(int(REFRESH_SECONDS))},
            )


def parse_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """Read a JWK set; keys that are not for our algorithms are left out, a set without any is an error."""
    data: Any = json.loads(document)
    if not isinstance(data, dict) or not isinstance(cast("dict[str, Any]", data).get("keys"), list):
        raise ValueError('the key set is not {"keys": [...]}')  # noqa: TRY004  # the document's value
    keys: dict[str, jwt.PyJWK] = {}
    for entry in cast("list[Any]", data["keys"]):
        if not isinstance(entry, dict):
            continue
        item = cast("dict[str, Any]", entry)
        if item.get("kty") == "oct" or item.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(item)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[str(item.get("kid", ""))] = key
    if not keys:
        raise ValueError(f"the key set has no key for {', '.join(ALGORITHMS)}")
    return keys


class TokenVerifier:
    """Turns a token into an identity, or says how it does not hold."""

    def __init__(self, settings: AuthSettings, keys: KeySet | None = None) -> None:
        self._issuer = settings.auth_issuer
        self._audience = settings.auth_audience
        self._keys = keys or KeySet(settings.auth_jwks_url)
        self._verified: dict[str, tuple[Identity, float]] = {}

    async def header(self, value: str | None) -> Identity:
        """Verify the value of an `Authorization` header."""
        scheme, _, token = (value or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenError("token.missing", "send a bearer token in the Authorization header")
        return await self.verify(token.strip())

    async def verify(self, token: str) -> Identity:
        """Verify a token: structure, algorithm, key, signature, times, issuer, audience, subject."""
        known, until = self._verified.get(token, (None, 0.0))
        if known is not None and time.monotonic() < until and time.time() < known.expires_at:
            return known
        found = await self._verify(token)
        # the oldest goes; a client that comes often costs one signature in half a minute
        self._verified.pop(token, None)
        if len(self._verified) >= _MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = (found, time.monotonic() + VERIFIED_SECONDS)
        return found

    async def _verify(self, token: str) -> Identity:
        key = await self._keys.find(self._key_id(token))
        if key is None:
            raise TokenError("token.forged", "the token is signed with a key its issuer does not publish")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise _token_error(error) from None
        return identity(claims)

    @staticmethod
    def _key_id(token: str) -> str | None:
        if len(token) > _MAX_TOKEN:
            raise TokenError("token.malformed", f"the token is longer than {_MAX_TOKEN} characters")
        header, _, rest = token.partition(".")
        if rest.count(".") != 1:
            raise TokenError("token.malformed", "the token is no JWT")
        return _key_id_of(header)


@lru_cache(maxsize=256)
def _key_id_of(header: str) -> str | None:
    """Read a token's first part; all tokens that one key signs share it."""
    try:
        found = jwt.get_unverified_header(f"{header}..")
    except jwt.InvalidTokenError:
        raise TokenError("token.malformed", "the token is no JWT") from None
    if found.get("alg") not in ALGORITHMS:
        raise TokenError("token.algorithm", f"the token's algorithm is not one of {', '.join(ALGORITHMS)}")
    kid: Any = found.get("kid")
    return kid if isinstance(kid, str) else None


def identity(claims: Mapping[str, Any]) -> Identity:
    """Read verified claims: `scope` (or `scp`), `groups` (or Cognito's own name for them)."""
    user = str(claims["sub"])
    if not user or len(user) > 256:
        raise TokenError("token.malformed", "the token's subject is empty or too long")
    groups = claims.get("groups", claims.get("cognito:groups", []))
    return Identity(user, _words(groups), _words(claims.get("scope", claims.get("scp", ""))), claims["exp"])


def _words(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(item for item in cast("list[Any]", value) if isinstance(item, str))
    return frozenset()


#: From the exact to the general, as PyJWT's classes inherit.
_REASONS: Final[tuple[tuple[type[jwt.InvalidTokenError], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "token.expired", "the token has expired"),
    (jwt.ImmatureSignatureError, "token.not_yet_valid", "the token is not valid yet"),
    (jwt.InvalidAudienceError, "token.wrong_audience", "the token is meant for another audience"),
    (jwt.InvalidIssuerError, "token.wrong_issuer", "the token comes from another issuer"),
    (jwt.MissingRequiredClaimError, "token.claim_missing", "the token lacks exp, iss, aud or sub"),
    (jwt.InvalidSignatureError, "token.forged", "the token's signature does not fit its issuer's key"),
    (jwt.InvalidAlgorithmError, "token.algorithm", "the token's algorithm does not fit its issuer's key"),
)


def _token_error(error: jwt.InvalidTokenError) -> TokenError:
    for kind, reason, detail in _REASONS:
        if isinstance(error, kind):
            return TokenError(reason, detail)
    return TokenError("token.malformed", "the token can't be read")
