"""The issuer's keys: fetched once, refreshed for new ones, kept while the issuer is away, never abused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from apps.platform import auth
from apps.platform.auth import KeySet, TokenError, TokenVerifier, parse_keys
from apps.platform.errors import UnavailableError
from apps.platform.settings import AuthSettings

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {"iss": "https://issuer", "aud": "slipway", "sub": "ann", "exp": 4_000_000_000}


def settings() -> AuthSettings:
    """An issuer that is never reached over the network."""
    return AuthSettings(
        auth_issuer="https://issuer", auth_audience="slipway", auth_jwks_url="https://issuer/keys"
    )


def entry(kid: str, key: Any = RSA, **more: Any) -> dict[str, Any]:
    """A public key as the issuer shows it."""
    algorithm = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind = next((value for base, value in algorithm.items() if isinstance(key, base)), OKPAlgorithm)
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, **more}


class Issuer:
    """Answers keys, counts how often it is asked, and can be away."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False

    async def __call__(self, _: str) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("no route")
        return json.dumps({"keys": self.keys}).encode()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock the test sets."""
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
async def test_the_three_algorithms_verify(key: Any, algorithm: str) -> None:
    """RSA, elliptic curve and Edwards curve tokens are understood."""
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k", key))))
    token = jwt.encode(
        {**CLAIMS, "scp": ["a"], "cognito:groups": ["g"]}, key, algorithm, headers={"kid": "k"}
    )
    found = await verifier.verify(token)
    assert (found.user, found.scopes, found.groups) == ("ann", {"a"}, {"g"})


async def test_keys_are_fetched_once_for_many(clock: list[float]) -> None:
    """A crowd at the start asks the issuer once; later tokens ask it no more until the keys are old."""
    issuer = Issuer(entry("k"))
    keys = KeySet("u", issuer)
    assert all(await asyncio.gather(*(keys.find("k") for _ in range(50))))
    assert issuer.asked == 1
    clock[0] += auth.KEYS_SECONDS + 1
    assert await keys.find("k")
    assert issuer.asked == 2


async def test_a_new_key_is_found_and_unknown_ones_do_not_flood(clock: list[float]) -> None:
    """A rotated key is fetched on first sight, but made-up key ids reach the issuer once in ten seconds."""
    issuer = Issuer(entry("old"))
    keys = KeySet("u", issuer)
    assert await keys.find("old")
    clock[0] += auth.REFRESH_SECONDS + 1
    issuer.keys.append(entry("new"))
    assert await keys.find("new")
    assert issuer.asked == 2
    for number in range(100):
        assert await keys.find(f"made-up-{number}") is None
    assert issuer.asked == 2


async def test_an_issuer_that_is_away_is_survived_for_a_day(clock: list[float]) -> None:
    """Known keys go on while the issuer is away; after a day, and without any keys, the answer is 503."""
    issuer = Issuer(entry("k"))
    keys = KeySet("u", issuer)
    assert await keys.find("k")
    issuer.away = True
    clock[0] += auth.KEYS_SECONDS + 1
    assert await keys.find("k")
    clock[0] += auth.STALE_SECONDS
    with pytest.raises(UnavailableError) as caught:
        await keys.find("k")
    assert caught.value.reason == "auth.keys_unavailable"
    with pytest.raises(UnavailableError):
        await KeySet("u", issuer).find("k")


def test_unusable_keys_are_left_out() -> None:
    """Encryption keys, secrets and broken entries are ignored; a set with nothing else is an error."""
    junk = [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}, entry("e", use="enc"), {"kty": "RSA"}, "text", None]
    assert set(parse_keys(json.dumps({"keys": [*junk, entry("good")]}).encode())) == {"good"}
    for bad in ({"keys": junk}, {"keys": {}}, [], "x"):
        with pytest.raises(ValueError, match="key"):
            parse_keys(json.dumps(bad).encode())


async def test_a_public_key_is_no_shared_secret() -> None:
    """The classic forgery, HS256 signed with the public key, is refused by its algorithm."""
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k"))))
    header = jwt.encode(CLAIMS, "x" * 32, "HS256", headers={"kid": "k"})
    with pytest.raises(TokenError) as caught:
        await verifier.verify(header)
    assert caught.value.reason == "token.algorithm"


@pytest.mark.parametrize("missing", ["exp", "iss", "aud", "sub"])
async def test_required_claims(missing: str) -> None:
    """A token without expiry, issuer, audience or subject is refused."""
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k"))))
    claims = {key: value for key, value in CLAIMS.items() if key != missing}
    with pytest.raises(TokenError) as caught:
        await verifier.verify(jwt.encode(claims, RSA, "RS256", headers={"kid": "k"}))
    assert caught.value.reason == "token.claim_missing"


async def test_clocks_may_differ_a_little() -> None:
    """Seconds of difference are forgiven, minutes are not."""
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k"))))
    now = jwt.api_jwt.datetime.now(tz=jwt.api_jwt.timezone.utc).timestamp()
    near = jwt.encode({**CLAIMS, "exp": now - 10}, RSA, "RS256", headers={"kid": "k"})
    assert (await verifier.verify(near)).user == "ann"
    far = jwt.encode({**CLAIMS, "exp": now - 120}, RSA, "RS256", headers={"kid": "k"})
    with pytest.raises(TokenError, match="expired"):
        await verifier.verify(far)


async def test_a_verified_token_is_remembered_for_a_moment(clock: list[float]) -> None:
    """The same token costs one signature in half a minute, and a key that was withdrawn ends it after that."""
    issuer = Issuer(entry("k"))
    verifier = TokenVerifier(settings(), KeySet("u", issuer))
    token = jwt.encode(CLAIMS, RSA, "RS256", headers={"kid": "k"})
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first
    issuer.keys = [entry("other")]
    clock[0] += auth.KEYS_SECONDS + 1
    with pytest.raises(TokenError, match="does not publish"):
        await verifier.verify(token)


async def test_a_remembered_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembering a token does not outlive its expiry."""
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k"))))
    token = jwt.encode(CLAIMS, RSA, "RS256", headers={"kid": "k"})
    first = await verifier.verify(token)
    monkeypatch.setattr(auth.time, "time", lambda: first.expires_at + 1)
    assert await verifier.verify(token) is not first


async def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens come, only so many are kept."""
    monkeypatch.setattr(auth, "_MAX_VERIFIED", 3)
    verifier = TokenVerifier(settings(), KeySet("u", Issuer(entry("k"))))
    for number in range(10):
        await verifier.verify(jwt.encode({**CLAIMS, "sub": f"u{number}"}, RSA, "RS256", headers={"kid": "k"}))
    assert len(verifier._verified) == 3
