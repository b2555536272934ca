"""The realtime tier's config: a domain that can be served, sizes that exist, ranges that make sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.realtime import scaling
from components.realtime.config import (
    ApiConfig,
    DomainConfig,
    FilterProcessorConfig,
    RealtimeConfig,
    WebsocketConfig,
)
from components.service.config import FARGATE_MEMORY
from tests.components.support import CTX

CERTIFICATE = "arn:aws:acm:us-east-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef"
AUTH = {
    "issuer": "https://login.example.com",
    "audience": "slipway",
    "jwks_url": "https://login.example.com/jwks.json",
}


def config(**more: object) -> RealtimeConfig:
    """A tier's config with these keys."""
    domain = {"name": "map.example.com", "certificate_arn": CERTIFICATE}
    return RealtimeConfig.model_validate({"domain": domain, "auth": AUTH, **more})


def test_no_certificate_names_both_keys() -> None:
    """Neither zone nor certificate: the error names the two keys, one of which is the way out."""
    with pytest.raises(ValidationError) as caught:
        RealtimeConfig.model_validate({"domain": {"name": "map.example.com"}, "auth": AUTH})
    said = str(caught.value)
    assert "domain.zone" in said
    assert "domain.certificate_arn" in said
    assert "hint:" in said


def test_two_certificates_are_one_too_many() -> None:
    """Zone and certificate together leave open which one serves."""
    with pytest.raises(ValidationError, match="keep one of them"):
        DomainConfig(name="map.example.com", zone="Z0123456789ABCDEFGHIJ", certificate_arn=CERTIFICATE)


def test_a_zone_name_is_no_zone_id() -> None:
    """The message gives the command that finds the id."""
    with pytest.raises(ValidationError, match=r"list-hosted-zones-by-name --dns-name example\.com"):
        DomainConfig(name="map.example.com", zone="example.com")


@pytest.mark.parametrize("name", ["localhost", "*.example.com", "https://map.example.com", "Map.example.com"])
def test_host_names(name: str) -> None:
    """A domain is a full host name: no wildcard, no scheme, no capitals."""
    with pytest.raises(ValidationError):
        DomainConfig(name=name, certificate_arn=CERTIFICATE)


def test_issuer_is_reached_over_tls_only() -> None:
    """Keys fetched without TLS could be anybody's."""
    with pytest.raises(ValidationError, match="jwks_url"):
        config(auth={**AUTH, "jwks_url": "http://login.example.com/jwks.json"})


@given(seconds=st.integers(0, 1000))
def test_stickiness_is_one_to_five_minutes(seconds: int) -> None:
    """Exactly 60 to 300 seconds are taken."""
    if 60 <= seconds <= 300:
        assert WebsocketConfig(stickiness_seconds=seconds).stickiness_seconds == seconds
    else:
        with pytest.raises(ValidationError):
            WebsocketConfig(stickiness_seconds=seconds)


@given(cpu=st.sampled_from([256, 512, 1024, 2048, 4096]), memory=st.integers(128, 32_768))
def test_sizes_are_those_of_fargate(cpu: int, memory: int) -> None:
    """Exactly Fargate's sizes are taken, and the hint is one of them."""
    if memory in FARGATE_MEMORY[cpu]:
        assert ApiConfig.model_validate({"cpu": cpu, "memory": memory}).memory == memory
        return
    with pytest.raises(ValidationError) as caught:
        ApiConfig.model_validate({"cpu": cpu, "memory": memory})
    hint = int(str(caught.value).split("hint: memory: ")[1].split()[0])
    assert hint in FARGATE_MEMORY[cpu]


@given(
    low=st.none() | st.integers(1, 500),
    high=st.none() | st.integers(1, 500),
    availability=st.sampled_from(["pilot", "ha"]),
)
def test_ranges_hold_whatever_is_left_out(low: int | None, high: int | None, availability: str) -> None:
    """What one sets is kept, what one leaves out comes from the availability, and fewest never passes most."""
    values = {"min": low, "max": high}
    if low is not None and high is not None and low > high:
        with pytest.raises(ValidationError, match="swap them"):
            FilterProcessorConfig.model_validate(values)
        return
    ctx = replace(CTX, availability=availability)
    tier = config(filter_processor=values)
    service = scaling.filter_processor(tier.filter_processor, tier, ctx)
    assert service.min_tasks <= service.max_tasks
    assert low in (None, service.min_tasks)
    assert high in (None, service.max_tasks)


def test_members_outlive_the_rounds_that_renew_them() -> None:
    """A lifetime below three rounds is refused with the least that would do."""
    with pytest.raises(ValidationError, match=r"hint: raise ttl_seconds to 30"):
        config(presence={"seconds": 10, "ttl_seconds": 15})


def test_availability_sets_the_range() -> None:
    """A pilot starts with one task, an ha stack with two in two zones."""
    tier = config()
    ha = replace(CTX, availability="ha")
    assert scaling.api(tier.api, tier, CTX).min_tasks == 1
    assert scaling.api(tier.api, tier, ha).min_tasks == 2
    assert scaling.api(tier.api, tier, ha).max_tasks > 2
