"""Stack files: what is accepted, and the one message for everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from components.stack import schema
from components.stack.config import StackConfig
from components.stack.errors import StackConfigError
from components.stack.loader import load_program_config, load_stack_file, parse
from tests.components.support import ROOT, engine_values, run

STACKS = ("dev", "prod", "local")
GOOD = {
    "slipway:account_id": "111111111111",
    "slipway:region": "us-east-1",
    "slipway:owner": "me@example.com",
    "slipway:cost_center": "map",
}

# All that a developer must think of when something works in dev and not in prod.
MAY_DIFFER = {
    "account_id",
    "cost_center",
    "availability",
    "lifecycle",
    "budget.monthly_usd",
    "budget.emails",
    "network.cidr",
    "network.zones",
    "network.nat",
    "network.endpoints",
    "network.flow_log_retention_days",
    "data.database.instance_class",
    "data.database.storage_gb",
    "data.database.max_storage_gb",
    "data.cache.node_type",
    "data.alarms.emails",
    "realtime.domain.name",
    "realtime.domain.zone",
    "realtime.auth.issuer",
    "realtime.auth.audience",
    "realtime.auth.jwks_url",
    "realtime.log_retention_days",
}


def write(folder: Path, text: str, name: str = "Pulumi.dev.yaml") -> Path:
    """A stack file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(StackConfigError) as caught:
        load_stack_file(path)
    return str(caught.value)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of nested mappings by its dotted path."""
    if isinstance(value, dict) and value:
        return {
            key: leaf
            for name, inner in value.items()
            for key, leaf in leaves(inner, f"{path}.{name}").items()
        }
    return {path.removeprefix("."): value}


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_is_valid(stack: str) -> None:
    """The repository's own files load, and the engine's way of passing them gives the same config."""
    path = ROOT / f"Pulumi.{stack}.yaml"
    found: list[StackConfig] = []
    run(lambda: found.append(load_program_config()), stack=stack, config=engine_values(path))
    assert found == [load_stack_file(path)]


def test_dev_and_prod_differ_only_where_they_may() -> None:
    """A key outside the list must be the same in both."""
    dev, prod = (
        leaves(load_stack_file(ROOT / f"Pulumi.{stack}.yaml").model_dump(mode="json"))
        for stack in ("dev", "prod")
    )
    different = {
        # every part of the declared use may differ: few people use dev
        key
        for key in dev.keys() | prod.keys()
        if dev.get(key) != prod.get(key) and not key.startswith("usage.")
    }
    assert different - MAY_DIFFER == set()


def test_the_schema_file_is_current() -> None:
    """Editors see the keys that the program reads: `make schema` was run."""
    assert schema.PATH.read_text(encoding="utf-8") == schema.rendered()


@pytest.mark.parametrize("stack", STACKS)
def test_the_schema_accepts_every_stack_file(stack: str) -> None:
    """What the program accepts, the editor does not underline."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema.schema()).validate(document)


def test_the_schema_refuses_a_wrong_key() -> None:
    """The editor underlines what the program would refuse."""
    document = {"config": {**GOOD, "slipway:netwrok": {}}}
    assert list(jsonschema.Draft202012Validator(schema.schema()).iter_errors(document))


def test_five_mistakes_are_one_message(tmp_path: Path) -> None:
    """Each with key path, what was found, what is allowed, and the nearest valid key; then a hint."""
    message = refused(
        write(
            tmp_path,
            """
config:
  slipway:account_id: "1234"
  slipway:region: us-east-1
  slipway:owner: me@example.com
  slipway:lifecycle: forever
  slipway:network:
    cidr: 10.0.0.0/28
    zonse: [a, b]
    nat: none
  slipway:budgett: {}
""",
        )
    )
    assert message.startswith("Pulumi.dev.yaml: 7 mistakes\n")
    assert "config.slipway:account_id: found '1234'; allowed: text that matches" in message
    assert "config.slipway:cost_center: found nothing; allowed: a value: the key is required" in message
    assert "config.slipway:lifecycle: found 'forever'; allowed: 'disposable' or 'retained'" in message
    assert "config.slipway:network.cidr: found '10.0.0.0/28'" in message
    assert "config.slipway:network.zonse: found an unknown key; allowed: one of cidr," in message
    assert "nearest valid key: zones" in message
    assert "config.slipway:network.nat: found 'none'; allowed: 'per_zone' or 'single'" in message
    assert "nearest valid key: budget" in message
    assert message.splitlines()[-1].startswith("hint: ")


def test_an_unknown_key_deep_inside_knows_its_neighbours(tmp_path: Path) -> None:
    """Valid keys are those of the very model that the path leads to, through optional tiers and mappings."""
    text = yaml.safe_dump(
        {
            "config": {
                **GOOD,
                "slipway:network": {},
                "slipway:data": {"buckets": {"media": {"versionning": True}}},
            }
        }
    )
    message = refused(write(tmp_path, text))
    assert "config.slipway:data.buckets.media.versionning: found an unknown key" in message
    assert "nearest valid key: versioning" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "config:\n  slipway:region: us-east-1\n  slipway:region: eu-west-1\n",
            "line 3: found the key 'slipway:region' again (first in line 2)",
        ),
        ("config: [\n", "no valid YAML"),
        ("- a\n- b\n", "found a list; allowed: a mapping with the key config"),
        ("config: text\n", "config: found 'text'"),
        ("confg: {}\n", "nearest valid key: config"),
        ("config:\n  slipwya:region: us-east-1\n", "config.slipwya:region: found a key outside the project"),
        ("config:\n  region: us-east-1\n  slipway:region: us-east-1\n", "found the same key as region"),
        ("", "config.slipway:account_id: found nothing"),
    ],
)
def test_a_broken_file_says_where(tmp_path: Path, text: str, words: str) -> None:
    """YAML mistakes speak the same language as wrong values."""
    message = refused(write(tmp_path, text))
    assert words in message
    assert "hint: " in message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 end in the same message, not in a traceback."""
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(b"\xff\xfe\x00config")
    assert "no UTF-8 text" in refused(path)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """A misspelt stack finds the one that was meant."""
    write(tmp_path, "config: {}", "Pulumi.dev.yaml")
    message = refused(tmp_path / "Pulumi.dve.yaml")
    assert "no such file" in message
    assert "nearest valid key: Pulumi.dev.yaml" in message


def test_another_file_name_is_refused(tmp_path: Path) -> None:
    """The stack's name comes from the file's."""
    assert "Pulumi.<stack>.yaml" in refused(write(tmp_path, "config: {}", "stack.yaml"))


def test_prod_is_highly_available_or_says_why_not() -> None:
    """`pilot` in prod is refused, also beside other mistakes, and accepted with a reason."""
    with pytest.raises(StackConfigError, match="availability_reason saying why not"):
        parse(dict(GOOD), file="Pulumi.prod.yaml", stack="prod")
    with pytest.raises(StackConfigError, match="availability_reason saying why not"):
        parse({**GOOD, "slipway:region": "nowhere"}, file="Pulumi.prod.yaml", stack="prod-eu")
    reason = {**GOOD, "slipway:availability_reason": "one team uses it, in office hours only"}
    assert parse(dict(reason), file="Pulumi.prod.yaml", stack="prod").availability == "pilot"
    assert parse(dict(GOOD), file="Pulumi.dev.yaml", stack="dev").availability == "pilot"


@pytest.mark.parametrize("stack", ["Dev", "dev_1", "1st", "dev-", "review--1", "a-very-long-name-of-a-stack"])
def test_a_stack_name_that_aws_names_cannot_carry_is_refused(stack: str) -> None:
    """`Dev` would claim the names of `dev`, and a long one would be cut where documents match its beginning."""
    with pytest.raises(StackConfigError, match=r"stack name: found .* lower-case letters"):
        parse(dict(GOOD), file="f", stack=stack)


def test_the_longest_stack_name_begins_every_name() -> None:
    """Key and endpoint policies say `slipway-<stack>-*`: the name with the longest suffix still begins so."""
    stack = "review-1234-abcdef"
    ctx = parse({**GOOD, "slipway:region": "ap-southeast-1"}, file="f", stack=stack).context("slipway", stack)
    bucket = ctx.bucket_name("a-bucket-with-a-long-name")
    assert len(bucket) <= 63
    assert bucket.startswith(f"slipway-{stack}-")
    assert bucket.endswith(f"-{ctx.account_id}-ap-southeast-1")


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_another_partition_is_refused(region: str) -> None:
    """Every ARN would be wrong there, and only AWS would say so."""
    with pytest.raises(StackConfigError, match="another"):
        parse({**GOOD, "slipway:region": region}, file="f", stack="dev")


def test_every_tier_is_optional_but_stands_on_something() -> None:
    """A stack of nothing but a network is a stack; a data tier without a network is not."""
    assert parse(dict(GOOD), file="f", stack="dev").network is None
    with pytest.raises(StackConfigError, match="data needs network"):
        parse({**GOOD, "slipway:data": {}}, file="f", stack="dev")


def test_ha_is_not_said_of_what_stands_in_one_zone() -> None:
    """One NAT gateway, a cache without a replica: both are named with what is allowed."""
    config = {
        **GOOD,
        "slipway:availability": "ha",
        "slipway:network": {"nat": "single"},
        "slipway:data": {"cache": {"replicas": 0}},
    }
    with pytest.raises(StackConfigError) as caught:
        parse(config, file="f", stack="dev")
    for words in ("network.nat is single; allowed: per_zone", "data.cache.replicas is 0"):
        assert words in str(caught.value)
    assert parse({**config, "slipway:availability": "pilot"}, file="f", stack="dev").data


def test_a_domain_without_certificate_names_both_ways() -> None:
    """Neither zone nor certificate: the message names domain.zone and domain.certificate_arn."""
    realtime = {
        "domain": {"name": "map.example.com"},
        "auth": {"issuer": "https://i.example.com", "audience": "a", "jwks_url": "https://i.example.com/k"},
    }
    with pytest.raises(StackConfigError) as caught:
        parse({**GOOD, "slipway:network": {}, "slipway:realtime": realtime}, file="f", stack="dev")
    assert "config.slipway:realtime.domain" in str(caught.value)
    assert "domain.zone" in str(caught.value)
    assert "domain.certificate_arn" in str(caught.value)


def test_other_namespaces_are_left_to_the_engine() -> None:
    """`aws:` and `pulumi:` keys are no business of ours."""
    assert parse({**GOOD, "aws:maxRetries": "3"}, file="f", stack="dev").region == "us-east-1"


def test_the_schema_is_written_where_editors_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m components.stack.schema` writes the file that the stack files name in their first line."""
    monkeypatch.setattr(schema, "PATH", tmp_path / "reference" / "stack.schema.json")
    assert schema.main() == 0
    assert json.loads((tmp_path / "reference" / "stack.schema.json").read_text(encoding="utf-8"))["$defs"]
    for stack in STACKS:
        first = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=docs/reference/stack.schema.json"
