"""Who may come in: tokens through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

if TYPE_CHECKING:
    from tests.apps.api.conftest import Api


async def refusal(api: Api, token: str | None) -> tuple[int, str]:
    """Status and code of a request with that token."""
    headers = {} if token is None else {"authorization": token}
    answer = await api.client.get("/v1/me", headers=headers)
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    return answer.status_code, answer.json()["code"]


async def test_me_shows_the_token(api: Api) -> None:
    """A good token is understood: user, groups and scopes."""
    answer = await api.client.get("/v1/me", headers=api.headers("zoe", "b a", ["ops"]))
    assert answer.json() == {"user": "zoe", "groups": ["ops"], "scopes": ["a", "b"]}


async def test_bad_tokens_are_told_apart(api: Api) -> None:
    """Each way a token can fail has its own code, all are 401, and an unsigned one never passes."""
    foreign = generate_private_key(public_exponent=65537, key_size=2048)
    good = {"iss": api.issuer.issuer, "aud": api.issuer.audience, "sub": "eve", "exp": 4_000_000_000}
    kid = {"kid": api.issuer.key_id}
    signed = api.issuer.token("eve")
    head, body, signature = signed.split(".")
    swapped = api.issuer.token("mallory").split(".")[1]
    cases: dict[str, Any] = {
        "token.missing": [None, "Basic abc", "Bearer "],
        "token.malformed": ["Bearer x", f"Bearer {head}.{body}", "Bearer " + "x" * 9000],
        "token.expired": [f"Bearer {api.issuer.token('eve', ttl=-60)}"],
        "token.wrong_audience": [f"Bearer {api.issuer.token('eve', aud='other')}"],
        "token.wrong_issuer": [f"Bearer {api.issuer.token('eve', iss='http://elsewhere')}"],
        "token.algorithm": [
            f"Bearer {jwt.encode(good, '', algorithm='none', headers=kid)}",
            f"Bearer {jwt.encode(good, 's' * 32, algorithm='HS256', headers=kid)}",
        ],
        "token.forged": [
            f"Bearer {jwt.encode(good, foreign, algorithm='RS256', headers=kid)}",
            f"Bearer {jwt.encode(good, foreign, algorithm='RS256', headers={'kid': 'other'})}",
            f"Bearer {head}.{swapped}.{signature}",
        ],
    }
    for code, tokens in cases.items():
        for token in tokens:
            assert await refusal(api, token) == (401, code), token


async def test_no_route_of_v1_is_open(api: Api) -> None:
    """Every operation of the document refuses a caller without a token, before it looks at the body."""
    document = (await api.client.get("/schema/openapi.json")).json()
    tried = 0
    for path, item in document["paths"].items():
        for method in item:
            if path.startswith("/v1/"):
                url = path.replace("{entity_id}", "x").replace("{filter_id}", "x")
                answer = await api.client.request(method, url, content=b"{")
                assert answer.status_code == 401, (method, path, answer.text)
                tried += 1
    assert tried >= 12
