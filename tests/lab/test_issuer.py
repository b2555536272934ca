"""The local issuer: its tokens hold for whoever reads its keys, and for nobody else's."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from lab.errors import LabError
from lab.issuer import AUDIENCE, ISSUER, Issuer


def claims(issuer: Issuer, token: str) -> dict[str, object]:
    """What a verifier that fetched the keys reads."""
    header = jwt.get_unverified_header(token)
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(issuer.jwks()).keys}
    return jwt.decode(token, keys[header["kid"]], algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)


def test_token_carries_what_was_asked(tmp_path: Path) -> None:
    """User, scopes, groups and life time come back out of a verified token."""
    issuer = Issuer(tmp_path)
    found = claims(issuer, issuer.token("ada", "entities:read", groups=["crew"], ttl=60))
    assert (found["sub"], found["scope"], found["groups"]) == ("ada", "entities:read", ["crew"])
    assert int(str(found["exp"])) - int(str(found["iat"])) == 60


def test_key_is_kept_and_private(tmp_path: Path) -> None:
    """A token outlives a restart: the key is made once, readable by its owner only."""
    token = Issuer(tmp_path).token("ada")
    assert claims(Issuer(tmp_path), token)["sub"] == "ada"
    assert (tmp_path / "issuer.key").stat().st_mode & 0o777 == 0o600


def test_public_keys_hold_no_private_part(tmp_path: Path) -> None:
    """What is served to everybody can't sign."""
    [key] = Issuer(tmp_path).jwks()["keys"]
    assert set(key) == {"kty", "key_ops", "n", "e", "kid", "use", "alg"}


def test_another_issuers_token_is_forged(tmp_path: Path) -> None:
    """A token of another key does not verify."""
    mine, other = Issuer(tmp_path / "mine"), Issuer(tmp_path / "other")
    [key] = jwt.PyJWKSet.from_dict(mine.jwks()).keys
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(other.token("mallory"), key, algorithms=["RS256"], audience=AUDIENCE)


def test_expired_token(tmp_path: Path) -> None:
    """A negative life time makes a token that has expired, for tests of what refuses it."""
    issuer = Issuer(tmp_path)
    with pytest.raises(jwt.ExpiredSignatureError):
        claims(issuer, issuer.token("ada", ttl=-120))


@pytest.mark.parametrize(("user", "ttl"), [("", 60), ("ada", 1e9)])
def test_senseless_token_is_refused(tmp_path: Path, user: str, ttl: float) -> None:
    """No user, or a token for decades, is an error with the right command."""
    with pytest.raises(LabError) as caught:
        Issuer(tmp_path).token(user, ttl=ttl)
    assert "slipway token" in (caught.value.hint or "")


def test_damaged_key_is_told(tmp_path: Path) -> None:
    """A damaged key file is an error that says what to remove."""
    (tmp_path / "issuer.key").write_text("damaged")
    with pytest.raises(LabError, match="is no RSA key") as caught:
        Issuer(tmp_path).token("ada")
    assert "remove" in (caught.value.hint or "")
