"""The list of types that take tags is that of the provider in the lock file, and default tags count."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from policies import taggable
from policies.controls.cost_tags import tagged
from policies.graph import Node
from policies.settings import ResourceSettings

TAGS = {"stack": "dev", "tier": "data", "owner": "platform", "cost-center": "42"}


def test_the_list_is_current() -> None:
    """A provider that was upgraded has new types: `python -m policies.taggable` writes them down."""
    listed = json.loads(taggable.TABLE.read_text(encoding="utf-8"))
    assert listed == taggable.of_the_provider()
    assert {"aws:sqs/queue:Queue", "aws:ecs/service:Service", "aws:rds/instance:Instance"} <= set(listed)
    assert "aws:iam/rolePolicy:RolePolicy" not in listed
    assert "aws:s3/bucketPolicy:BucketPolicy" not in listed


def queue(own: dict[str, str], defaults: Any) -> str:
    """The verdict on a queue whose provider has default tags."""
    provider = None if defaults is None else SimpleNamespace(props={"defaultTags": defaults})
    resource: Any = SimpleNamespace(
        resource_type="aws:sqs/queue:Queue", urn="u", name="q", props={"tags": own}, provider=provider
    )
    check = tagged.one
    assert check is not None
    verdict = check(Node.of(resource), ResourceSettings())
    assert verdict is not None
    return verdict.outcome.value


def test_default_tags_of_the_provider_count() -> None:
    """As the engine's JSON text and as an object; what the resource itself says empties them."""
    assert queue(TAGS, None) == "pass"
    assert queue({}, None) == "fail"
    assert queue({}, {"tags": TAGS}) == "pass"
    assert queue({}, json.dumps({"tags": TAGS})) == "pass"
    assert queue({"tier": "data"}, json.dumps({"tags": {**TAGS, "tier": ""}})) == "pass"
    assert queue({"tier": ""}, json.dumps({"tags": TAGS})) == "fail"
    assert queue({}, "no JSON") == "fail"
