"""Composing a stack in process: modes, URNs, secrets, awsx, config, and every way a program can fail."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import time
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx
import pulumi_random
import pytest

from lab.errors import LabError
from lab.model import MASK, UNKNOWN, UNKNOWN_TEXT, Graph, Resource
from lab.monitor import Created, Monitor
from lab.synth import SynthError, compose, read_stack, synth

ROOT = Path(__file__).parents[2]
TRUTH = Path(__file__).parent / "truth"


class Tier(pulumi.ComponentResource):
    """A component with a queue, and a component of its own."""

    def __init__(self, name: str, *, inner: bool = True, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:test:Tier", name, None, opts)
        child = pulumi.ResourceOptions(
            parent=self, protect=True, ignore_changes=["tags"], aliases=[pulumi.Alias(name="old")]
        )
        self.queue = aws.sqs.Queue(name, name=f"q-{name}", opts=child)
        if inner:
            Tier(f"{name}-inner", inner=False, opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({"url": self.queue.url})


def program() -> None:
    """A component, what depends on it, a secret and an export."""
    tier = Tier("a")
    aws.sqs.QueuePolicy(
        "policy", queue_url=tier.queue.url, policy=tier.queue.arn.apply(lambda arn: f"for {arn}")
    )
    password = pulumi_random.RandomPassword("password", length=20)
    aws.ssm.Parameter("secret", name="/s", type="SecureString", value=password.result)
    pulumi.export("url", tier.queue.url)
    pulumi.export("password", password.result)


def named(graph: Graph, name: str, type_: str = "") -> Resource:
    """The one resource of that name."""
    found = [each for each in graph if each.name == name and type_ in each.type]
    assert len(found) == 1, found
    return found[0]


def test_urns_are_built_as_the_real_engine_builds_them() -> None:
    """The whole chain of component types, the stack itself left out."""
    urns = {each.urn for each in compose(program, project="p", stack="dev")}
    assert "urn:pulumi:dev::p::slipway:test:Tier::a" in urns
    assert "urn:pulumi:dev::p::slipway:test:Tier$aws:sqs/queue:Queue::a" in urns
    inner = "urn:pulumi:dev::p::slipway:test:Tier$slipway:test:Tier$aws:sqs/queue:Queue::a-inner"
    assert inner in urns


def test_preview_knows_inputs_and_nothing_that_the_cloud_computes() -> None:
    """Ids, ARNs and what is made from them are unknown; what they are made from is not."""
    graph = compose(program)
    policy = named(graph, "policy")
    assert policy.id is UNKNOWN
    assert policy.inputs == {"queueUrl": UNKNOWN, "policy": UNKNOWN}
    queue = named(graph, "a", "sqs")
    assert policy.property_dependencies == {"queueUrl": (queue.urn,), "policy": (queue.urn,)}
    assert queue.inputs == {"name": "q-a"}
    assert graph.outputs["url"] is UNKNOWN
    assert graph.document()["outputs"]["url"] == UNKNOWN_TEXT


def test_resolved_mode_fills_in_what_aws_would_compute() -> None:
    """URLs and ARNs have AWS's form, and are the same each time."""
    graph = compose(program, mode="resolved")
    assert graph.outputs["url"] == "https://sqs.us-east-1.amazonaws.com/000000000000/q-a"
    assert named(graph, "policy").inputs["policy"] == "for arn:aws:sqs:us-east-1:000000000000:q-a"
    assert compose(program, mode="resolved").document() == graph.document()


def test_what_a_registration_says_beside_its_inputs_is_kept() -> None:
    """Protect, ignored changes, aliases, the parent, and the raw request itself."""
    graph = compose(program)
    queue = named(graph, "a", "sqs")
    assert (queue.protect, queue.ignore_changes, queue.aliases) == (True, ("tags",), ("old",))
    parent = named(graph, "a", "slipway")
    assert queue.parent == parent.urn
    assert {each.name for each in graph.children(parent.urn)} == {"a", "a-inner"}
    assert parent.outputs == {"url": UNKNOWN}
    assert queue.raw is not None
    assert queue.raw.name == "a"


def test_secrets_are_known_to_be_secret_and_never_shown() -> None:
    """A password made here passes through an input and an export; the document shows none of it."""
    graph = compose(program, mode="resolved")
    value = named(graph, "secret").inputs["value"]
    assert len(value) > 10
    assert named(graph, "secret").secret_paths == {("value",)}
    document = graph.document()
    assert document["outputs"]["password"] == MASK
    assert value not in json.dumps(document)


def test_two_resources_with_one_urn_are_an_error() -> None:
    """Pulumi's own mocks let this pass; the engine does not."""

    def twice() -> None:
        aws.sqs.Queue("q")
        aws.sqs.Queue("q")

    with pytest.raises(
        LabError, match="two resources have the URN urn:pulumi:test::slipway::aws:sqs/queue:Queue::q"
    ):
        compose(twice)


def test_awsx_ecr_is_expanded_as_the_real_provider_does() -> None:
    """Types, names, parents and inputs of the children, against what the real provider registered."""

    def images() -> None:
        awsx.ecr.Repository("plain")
        app = awsx.ecr.Repository(
            "app",
            name="team/app",
            force_delete=True,
            image_tag_mutability="IMMUTABLE",
            lifecycle_policy={
                "rules": [{"description": "keep 5", "maximum_number_of_images": 5, "tag_status": "untagged"}]
            },
        )
        awsx.ecr.Image("img", repository_url=app.url, context="./app", image_tag="v1", platform="linux/amd64")

    graph = compose(images, project="p3", stack="dev", mode="resolved")
    truth = json.loads((TRUTH / "awsx_ecr.json").read_text(encoding="utf-8"))
    assert {each.urn for each in graph} == {each["urn"] for each in truth}
    for expected in truth:
        mine = graph.by_urn[expected["urn"]]
        assert _label(graph, mine.parent, "Stack p3-dev") == expected["parent"]
        assert sorted(_label(graph, urn) for urn in mine.dependencies) == sorted(expected["deps"])
        if mine.custom:
            assert _comparable(mine.inputs) == _comparable(_recorded(expected["inputs"])), expected["urn"]


def _label(graph: Graph, urn: str, root: str = "") -> str:
    """A resource as the recording names it."""
    found = graph.by_urn.get(urn)
    return f"{found.type.rsplit(':', 1)[-1]} {found.name}" if found else root


def _recorded(text: str) -> Any:
    """The recorded inputs: references filled in, account and region those of the lab."""
    names = {"app": "team/app", "plain": "plain"}
    text = re.sub(r"<Repository (\w+)\.id>", lambda match: json.dumps(names[match[1]]), text)
    return json.loads(text.replace("123456789012", "000000000000").replace("eu-west-1", "us-east-1"))


def _comparable(inputs: Any) -> dict[str, Any]:
    """Without what the aws provider adds by itself (a region, a name), and the login of the day."""
    shown = {key: value for key, value in inputs.items() if key != "region" and value != "plain"}
    if "registries" in shown:
        shown["registries"] = [each["address"] for each in shown["registries"]]
    return {key: json.loads(value) if key == "policy" else value for key, value in shown.items()}


def test_the_url_of_an_image_repository_is_made_from_its_children() -> None:
    """Who uses the URL depends on the component and on its repository, and it is unknown at preview."""

    def images() -> None:
        app = awsx.ecr.Repository("app")
        aws.ssm.Parameter("url", name="/u", type="String", value=app.url)

    graph = compose(images)
    url = named(graph, "url")
    assert url.inputs["value"] is UNKNOWN
    kinds = {graph.by_urn[urn].type for urn in url.property_dependencies["value"]}
    assert kinds == {"awsx:ecr:Repository", "aws:ecr/repository:Repository"}


def test_a_creator_makes_each_thing_after_what_it_depends_on() -> None:
    """The hook that the local run uses: inputs arrive resolved, answers become outputs, failures end the run."""

    class Made:
        def __init__(self) -> None:
            self.seen: list[tuple[str, dict[str, Any]]] = []

        def create(self, resource: Resource) -> Created:
            self.seen.append((resource.name, dict(resource.inputs)))
            if resource.name == "broken":
                raise LabError("the emulator refused it", hint="look at its log")
            return Created(f"id-{resource.name}", {"url": f"http://here/{resource.name}", "arn": "arn:made"})

    made = Made()

    def chain() -> None:
        queue = aws.sqs.Queue("first", name="first")
        aws.sqs.QueuePolicy("second", queue_url=queue.url, policy=queue.arn)
        pulumi.export("url", queue.url)

    graph = compose(chain, mode="resolved", creator=made)
    assert [name for name, _ in made.seen] == ["first", "second"]
    assert made.seen[1][1] == {"queueUrl": "http://here/first", "policy": "arn:made"}
    assert graph.outputs == {"url": "http://here/first"}
    assert named(graph, "second").id == "id-second"
    with pytest.raises(LabError, match="the emulator refused it"):
        compose(lambda: aws.sqs.Queue("broken"), mode="resolved", creator=Made())


def test_a_monitor_can_be_replaced_as_a_whole() -> None:
    """What runs a stack here subclasses the monitor."""

    class Counting(Monitor):
        registered = 0

        def RegisterResource(self, request: Any) -> Any:  # noqa: N802
            self.registered += 1
            return super().RegisterResource(request)

    class Nothing:
        def create(self, resource: Resource) -> Created:
            return Created(resource.name)

    monitor = Counting(Nothing(), project="slipway", stack="test", mode="resolved")
    compose(lambda: aws.sqs.Queue("q"), mode="resolved", monitor=monitor)
    assert monitor.registered == 2  # the stack itself, and the queue


def test_calls_of_the_program_are_answered_or_refused_with_the_way_out() -> None:
    """Account and region come from the stack's own provider; what needs the cloud is an error."""
    seen: dict[str, Any] = {}

    def asks() -> None:
        provider = aws.Provider("aws", region="eu-central-1", allowed_account_ids=["123456789012"])
        provider.urn.apply(lambda _: None)
        opts = pulumi.InvokeOptions(provider=provider)
        aws.get_caller_identity_output(opts=opts).account_id.apply(lambda it: seen.update(account=it))
        aws.get_region_output(opts=opts).region.apply(lambda it: seen.update(region=it))

    compose(asks, mode="resolved")
    assert seen == {"account": "123456789012", "region": "eu-central-1"}
    with pytest.raises(LabError, match="getAvailabilityZones, which needs the cloud"):
        compose(aws.get_availability_zones)


def project(folder: Path, code: str, stack: str = "config: {}\n") -> Path:
    """A Pulumi project on disk."""
    (folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\n", encoding="utf-8")
    (folder / "Pulumi.dev.yaml").write_text(stack, encoding="utf-8")
    (folder / "__main__.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return folder


def test_config_reaches_the_program_as_the_engine_hands_it_over(tmp_path: Path) -> None:
    """Full keys, objects as JSON, numbers and booleans as text, encrypted values marked as secret."""
    stack = "config:\n  demo:size: 3\n  flag: true\n  aws:region: eu-west-1\n  demo:deep: {a: [1, 2]}\n  demo:key: {secure: abc}\n"
    root = project(
        tmp_path,
        """
        import pulumi
        config = pulumi.Config()
        pulumi.export("size", config.require_int("size"))
        pulumi.export("flag", config.require_bool("flag"))
        pulumi.export("deep", config.require_object("deep"))
        pulumi.export("region", pulumi.Config("aws").require("region"))
        pulumi.export("key", config.require_secret("key"))
        pulumi.export("names", [pulumi.get_project(), pulumi.get_stack()])
        print("talk, not data")
        """,
        stack,
    )
    outputs = synth(root, "dev").document()["outputs"]
    assert outputs == {
        "size": 3,
        "flag": True,
        "deep": {"a": [1, 2]},
        "region": "eu-west-1",
        "key": MASK,
        "names": ["demo", "dev"],
    }
    assert read_stack(root, "dev")[0] == "demo"


def test_what_a_program_prints_is_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout belongs to the verb."""
    synth(project(tmp_path, "print('hello')\n"), "dev")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_a_failing_program_ends_with_the_place_in_the_users_file(tmp_path: Path) -> None:
    """Not in Pulumi's own code: the line that somebody can mend."""
    root = project(
        tmp_path,
        """
        import pulumi_aws as aws

        def tier():
            return aws.sqs.Queue("q", name={}["missing"])

        tier()
        """,
    )
    with pytest.raises(SynthError) as caught:
        synth(root, "dev")
    assert caught.value.message == "the program of stack 'dev' failed: KeyError: 'missing'"
    assert caught.value.cause is not None
    assert "__main__.py:5, in tier" in caught.value.cause


def test_a_failure_inside_apply_ends_the_run_too(tmp_path: Path) -> None:
    """It comes up later, from the event loop, and still names the user's line."""
    root = project(
        tmp_path,
        """
        import pulumi_aws as aws

        aws.sqs.Queue("q", name="q").name.apply(lambda name: 1 / 0)
        """,
    )
    with pytest.raises(SynthError, match="ZeroDivisionError") as caught:
        synth(root, "dev")
    assert "__main__.py:4" in (caught.value.cause or "")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Pulumi.dev.yaml", "config: [1, 2]\n", "config is no mapping"),
        ("Pulumi.dev.yaml", "config: {a: [\n", "Pulumi.dev.yaml cannot be read"),
        ("Pulumi.dev.yaml", "- a\n", "Pulumi.dev.yaml is no mapping"),
        ("Pulumi.dev.yaml", "config: {on: 1}\n", "the config key True is no text"),
        ("Pulumi.yaml", "runtime: python\n", "Pulumi.yaml has no `name`"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    """YAML that is none, or says something else, ends in one sentence with a hint."""
    root = project(tmp_path, "")
    (root / name).write_text(text, encoding="utf-8")
    with pytest.raises(SynthError, match=words) as caught:
        synth(root, "dev")
    assert caught.value.hint


def test_an_unknown_stack_lists_those_that_exist(tmp_path: Path) -> None:
    """The nearest way out of a typing mistake."""
    root = project(tmp_path, "")
    with pytest.raises(SynthError, match="there is no stack 'prod'") as caught:
        synth(root, "prod")
    assert caught.value.hint == "one of: dev"


def test_a_wrong_stack_file_of_the_project_is_shown_as_the_loader_words_it(tmp_path: Path) -> None:
    """StackConfig's own message comes through whole, its hint as the hint."""
    for name in ("__main__.py", "Pulumi.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    text = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        text.replace("slipway:region:", "slipway:regoin:"), encoding="utf-8"
    )
    with pytest.raises(SynthError, match="regoin") as caught:
        synth(tmp_path, "dev")
    assert caught.value.code == "config"
    assert caught.value.hint
    assert "Traceback" not in caught.value.message


@pytest.mark.parametrize("mode", ["preview", "resolved"])
@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_the_projects_own_stacks_compose(stack: str, mode: Any) -> None:
    """Both modes, twice in one process, with the same result."""
    first = synth(ROOT, stack, mode=mode)
    assert len(first) > 100
    assert synth(ROOT, stack, mode=mode).document() == first.document()


def test_six_hundred_resources_compose_within_the_time() -> None:
    """Linear in the number of resources: ten times as many take not much more than ten times as long."""

    def many(count: int) -> float:
        def make() -> None:
            for number in range(count // 2):
                queue = aws.sqs.Queue(f"q{number}", name=f"q{number}")
                aws.sqs.QueuePolicy(f"p{number}", queue_url=queue.url, policy="{}")

        started = time.process_time()
        assert len(compose(make)) == count
        return time.process_time() - started

    many(60)
    assert many(600) < 6.0


def test_a_failure_that_many_outputs_hold_is_told_once(caplog) -> None:
    """What waited for a failed resource, and nobody asks for any more, prints no traceback of its own."""

    def program() -> None:
        for _ in range(20):
            asyncio.get_running_loop().create_future().set_exception(LabError("it cannot be made"))
        raise LabError("it cannot be made")

    with pytest.raises(LabError, match="it cannot be made"):
        compose(program)
    assert "never retrieved" not in caplog.text
