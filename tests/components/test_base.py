"""Names, links, draining and the app contract: the pure parts that every component stands on."""

from __future__ import annotations

import string

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from components import contract
from components.drain import DrainConfig
from components.key import Key
from components.links import Link, LinkError, Statement, kms_statement, merge
from components.names import LIMITS, safe_name
from tests.components.support import CTX, run

words = st.text(alphabet=string.ascii_lowercase + string.digits + "-_ /", min_size=1, max_size=60)


@given(words, words, st.sampled_from(sorted(set(LIMITS.values()))))
def test_names_keep_limit_and_alphabet(one: str, other: str, limit: int) -> None:
    """Whatever the parts, a name fits and has only characters that every AWS name allows."""
    name = safe_name("slipway", one, other, limit=limit, suffix="task")
    assert len(name) <= limit
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
    assert name.endswith("-task")


def test_cut_names_stay_apart() -> None:
    """Two long names with the same beginning differ by the hash of the whole."""
    one, other = (safe_name("slipway", "x" * 60, end, limit=32) for end in ("a", "b"))
    assert one != other
    assert len(one) == len(other) == 32


def test_a_short_name_is_itself() -> None:
    """Nobody has to learn a hash where none is needed."""
    assert CTX.name("api", limit=32) == "slipway-dev-api"
    assert CTX.bucket_name("media") == "slipway-dev-media-111111111111-us-east-1"


@pytest.mark.parametrize(("parts", "limit", "suffix"), [(("///",), 32, ""), (("name",), 8, "")])
def test_a_name_that_cannot_be_is_an_error(parts: tuple[str, ...], limit: int, suffix: str) -> None:
    """No empty name, and no limit without room for the hash."""
    with pytest.raises(ValueError, match=r"no name is left|leaves no room"):
        safe_name(*parts, *(("x" * 40,) if limit == 8 else ()), limit=limit, suffix=suffix)


def test_arns_are_computed() -> None:
    """Documents refer to what does not exist yet by these."""
    assert CTX.parameter_arn(CTX.parameter_name("data", "database-host")) == (
        "arn:aws:ssm:us-east-1:111111111111:parameter/slipway/dev/data/database-host"
    )
    assert CTX.role_arn("slipway-dev-api-task") == "arn:aws:iam::111111111111:role/slipway-dev-api-task"
    assert CTX.bucket_arn("b") == "arn:aws:s3:::b"


def test_children_are_protected_with_their_component() -> None:
    """`protect` on a component reaches its children, as everywhere in Pulumi; nothing says no in between."""

    def program() -> None:
        for name, protect in (("kept", True), ("free", None)):
            opts = pulumi.ResourceOptions(protect=protect)
            Key(name, ctx=CTX, tier="security", purpose=name, opts=opts)

    keys = {each.name: each.request.protect for each in run(program).of("aws:kms/key:Key")}
    assert keys == {"kept": True, "free": False}


# --- links


def test_links_are_merged_and_agree() -> None:
    """The same value twice is one value; statements and keys come once."""
    read = Statement(sid="Read", actions=("s3:GetObject",), resources=("arn:aws:s3:::b/*",))
    one = Link(name="one", environment={"A": "1"}, statements=(read,), kms_aliases=("alias/k",))
    other = Link(
        name="other",
        environment={"A": "1"},
        secrets={"B": "arn:b"},
        statements=(read,),
        kms_aliases=("alias/k",),
    )
    merged = merge([one, other], service="api")
    assert (dict(merged.environment), dict(merged.secrets)) == ({"A": "1"}, {"B": "arn:b"})
    assert merged.statements == (read,)
    assert merged.kms_aliases == ("alias/k",)


@pytest.mark.parametrize(
    "other",
    [
        Link(name="other", environment={"A": "2"}),
        Link(name="other", secrets={"A": "arn:a"}),
        Link(name="other", statements=(Statement(sid="S", actions=("s3:PutObject",), resources=("arn",)),)),
    ],
)
def test_links_that_disagree_are_refused(other: Link) -> None:
    """A variable or statement id with two meanings names both links."""
    own = Statement(sid="S", actions=("s3:GetObject",), resources=("arn",))
    with pytest.raises(LinkError, match="service api"):
        merge([Link(name="one", environment={"A": "1"}, statements=(own,)), other], service="api")


@pytest.mark.parametrize(
    ("actions", "resources"),
    [(("s3:*",), ("arn",)), (("s3:GetObject",), ("*",)), ((), ("arn",)), (("s3:GetObject",), ())],
)
def test_a_link_never_grants_everything(actions: tuple[str, ...], resources: tuple[str, ...]) -> None:
    """No wildcard action, no every-resource without a condition, nothing empty."""
    with pytest.raises(LinkError, match="statement Wide"):
        Statement(sid="Wide", actions=actions, resources=resources)


def test_a_key_is_named_by_its_alias() -> None:
    """Key ids are unknown at preview, so the condition names the alias and the calling service."""
    body = kms_statement(
        CTX, "Use", alias="alias/slipway-dev-stack", actions=["kms:Decrypt"], via="ssm"
    ).document()
    assert body["Condition"] == {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/slipway-dev-stack"]},
        "StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"},
    }


# --- draining


@given(st.integers(1, 600), st.integers(1, 100), st.integers(1, 10))
def test_no_derived_timeout_undercuts_another(ping: int, drain: int, margin: int) -> None:
    """Derived values keep their order: ping < idle < keep-alive; drain < hard deadline < stopTimeout; Pulumi waits longest."""
    config = DrainConfig(
        ping_interval_seconds=ping, drain_seconds=drain, margin_seconds=margin, linger_seconds=0
    )
    assert ping < config.idle_timeout < config.keep_alive
    assert drain <= config.deregistration_delay
    assert drain < config.shutdown_timeout < config.stop_timeout <= 120
    assert config.delete_timeout > config.deregistration_delay + config.stop_timeout


def test_impossible_timeouts_are_refused_together() -> None:
    """Each broken relation is named in one error."""
    with pytest.raises(ValidationError) as caught:
        DrainConfig(
            drain_seconds=130, linger_seconds=130, idle_timeout_seconds=10, deregistration_delay_seconds=5
        )
    text = str(caught.value)
    assert "idle timeout (10 s) must exceed the ping interval (25 s)" in text
    assert "deregistration delay (5 s) must be at least the drain time (130 s)" in text
    assert "at most 120 s on Fargate" in text
    assert "linger_seconds (130 s) must be below the drain time (130 s)" in text


def test_drain_becomes_environment() -> None:
    """The app gets the same numbers as the load balancer and ECS."""
    assert DrainConfig().websocket_environment() == {
        "DRAIN_SECONDS": "20",
        "SHUTDOWN_SECONDS": "25",
        "KEEP_ALIVE_SECONDS": "70",
        "PING_INTERVAL_SECONDS": "25",
    }


# --- the app contract


class Base(BaseSettings):
    """A group of fields."""

    stack: str
    token: SecretStr


class App(Base):
    """An app with a default and an optional secret."""

    port: int = 8000
    extra_key: SecretStr | None = None


def test_a_fitting_service_passes() -> None:
    """Required fields supplied, the optional one too, the secret as a secret."""
    contract.check(App, service="app", literals={"STACK", "PORT"}, secrets={"TOKEN"})


def test_every_misfit_is_named_at_once() -> None:
    """Missing, stray with its nearest name, exposed and double variables in one error with a hint."""
    with pytest.raises(contract.AppContractError) as caught:
        contract.check(App, service="app", literals={"PROT", "EXTRA_KEY", "TOKEN"}, secrets={"TOKEN"})
    text = str(caught.value)
    assert "missing: STACK" in text
    assert "stray: PROT is read by no field of App; nearest: PORT" in text
    assert "exposed: EXTRA_KEY is a secret" in text
    assert "exposed: TOKEN is a secret" in text
    assert "twice: TOKEN" in text
    assert "hint: " in text
