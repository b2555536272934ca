"""The stand-in itself: it knows the types of the SDK, and refuses what a cloud refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pulumi_aws
import pytest

from tests.engine.standin.cloud import Cloud, TakenError
from tests.engine.standin.spec import spec

SDK = Path(pulumi_aws.__file__).parent
RESOURCE = re.compile(r"super\(\w+, __self__\)\.__init__\(\s+'(aws:[^']+)'")


def test_the_stand_in_knows_every_type_of_the_sdk() -> None:
    """Each resource's token leads to its inputs and outputs, so any program can be run."""
    tokens = {
        token for path in SDK.rglob("*.py") for token in RESOURCE.findall(path.read_text(encoding="utf-8"))
    }
    unknown = sorted(token for token in tokens if not spec(token).known)
    assert len(tokens) > 1000
    assert unknown == []


def test_properties_are_those_of_the_type() -> None:
    """Names as on the wire; a policy document is text, and tags are not."""
    policy = spec("aws:iam/rolePolicy:RolePolicy")
    assert set(policy.inputs) == {"name", "namePrefix", "policy", "role"}
    assert policy.is_text("policy")
    assert {"arn", "tagsAll"} <= set(spec("aws:sqs/queue:Queue").outputs)
    assert not spec("aws:sqs/queue:Queue").is_text("tags")
    assert not spec("aws:no/such:Such").known


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Two resources that would be one in the cloud are an error, not drift at the next refresh."""
    cloud = Cloud(tmp_path)
    cloud.create("aws:iam/rolePolicy:RolePolicy", "role:read", {"policy": "{}"})
    cloud.create("aws:iam/rolePolicy:RolePolicy", "role:write", {"policy": "{}"})
    with pytest.raises(TakenError):
        cloud.create("aws:iam/rolePolicy:RolePolicy", "role:read", {"policy": "{}"})
    assert len(cloud.left()) == 2
