"""A small stack brought up for real: what the graph says is what runs, is kept, is restarted and goes away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from lab.errors import LabError
from lab.run import tasks
from lab.run.creators import MAKERS, NOT_RUN
from lab.run.creators.messages import text
from lab.run.creators.passwords import generate
from lab.run.world import aws_client
from lab.servers import AwsEndpoint
from lab.synth import synth
from tests.lab import left
from tests.lab.cli import Cli, small

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def cli(tmp_path_factory) -> Iterator[Cli]:
    """The small stack, up and detached; every test of this module shares its one start."""
    made = small(tmp_path_factory.mktemp("run"))
    ran = made("up", "--detach", "--no-replay", "--port", "0", "--replicas", "web=2", "--timeout", "150")
    assert ran.code == 0, ran.shown()
    yield made
    made("down", "--wipe")
    assert left.processes(made.home) == []


def status(cli: Cli) -> dict[str, Any]:
    """What the running stack says of itself."""
    return json.loads((cli.home / "run" / "up" / "status.json").read_text())


def get(cli: Cli, path: str, cookie: str = "") -> tuple[dict[str, Any], str]:
    """JSON through the front, and the cookie it set."""
    request = Request(status(cli)["url"] + path, headers={"Cookie": cookie} if cookie else {})
    with urlopen(request, timeout=20) as answer:
        return json.load(answer), answer.headers.get("Set-Cookie", "")


def row(cli: Cli, name: str) -> dict[str, Any]:
    """One process."""
    return next(one for one in status(cli)["rows"] if one["name"] == name)


def until(check, seconds: float = 30) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def emulator(cli: Cli, service: str) -> Any:
    """A client for the emulator of the running stack."""
    port = int((cli.home / "run" / "emulator.port").read_text())
    endpoint = AwsEndpoint(
        f"http://127.0.0.1:{port}", "eu-west-1", "123456789012", "123456789012", "local", ""
    )
    return aws_client(endpoint, service)


def test_services_see_what_the_graph_gives_them(cli: Cli) -> None:
    """Queue, bucket, database, cache and managed secret work from a service, over TLS, with the graph's names."""
    facts, _ = get(cli, "/anything")
    assert facts["service"] == "web"
    assert facts["runs"] == 1
    assert facts["queue_url"].endswith("/123456789012/small-jobs")
    assert ":secret:rds!db-" in facts["secret_arn"]
    assert facts["issuer"] == status(cli)["url"] + "/.slipway"
    assert len(facts["redis_password"]) == 40


def test_the_front_plays_the_graphs_rules(cli: Cli) -> None:
    """/other* goes to the other service; the default group has two replicas and its stickiness."""
    assert get(cli, "/other/1")[0]["service"] == "other"
    seen = {get(cli, "/")[0]["instance"] for _ in range(4)}
    assert len(seen) == 2
    first, cookie = get(cli, "/")
    assert cookie.startswith("AWSALB=")
    assert "Max-Age=60" in cookie
    assert {get(cli, "/", cookie.partition(";")[0])[0]["instance"] for _ in range(4)} == {first["instance"]}


def test_the_emulator_holds_what_the_graph_declares(cli: Cli) -> None:
    """Attributes, versioning, encrypted parameters, keys, tables and topics are made as declared."""
    sqs = emulator(cli, "sqs")
    url = sqs.get_queue_url(QueueName="small-jobs")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "45"
    assert (
        json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
        == "arn:aws:sqs:eu-west-1:123456789012:small-dead"
    )
    s3 = emulator(cli, "s3")
    assert s3.get_bucket_versioning(Bucket="small-files-123456789012")["Status"] == "Enabled"
    parameter = emulator(cli, "ssm").get_parameter(Name="/small/queue-url", WithDecryption=True)["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", url)
    assert (
        emulator(cli, "kms").describe_key(KeyId="alias/small")["KeyMetadata"]["Description"]
        == "of the small stack"
    )
    assert (
        emulator(cli, "dynamodb").describe_table(TableName="small-seen")["Table"]["KeySchema"][0][
            "AttributeName"
        ]
        == "id"
    )
    topics = emulator(cli, "sns").list_topics()["Topics"]
    assert {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:small-alarms"} in topics


def test_roles_have_exactly_what_was_recorded(cli: Cli, tmp_path: Path) -> None:
    """Calls of this run, by task: the stack's roles pass; with one action more, one less and a wider ARN they fail."""
    assert get(cli, "/")[0]["service"] == "web"
    assert get(cli, "/other/1")[0]["service"] == "other"
    shown = cli("iam")
    assert shown.code == 0, shown.shown()
    assert [" ".join(line.split()) for line in sorted(shown.stdout.splitlines()[1:4])] == [
        "ok migrate 1 needs (1 recorded)",
        "ok other 3 needs (3 recorded)",
        "ok web 3 needs (3 recorded)",
    ]
    twin = small(tmp_path)
    program = (twin.root / "__main__.py").read_text()
    for before, after in (
        ('role("web", read_secret, send, put)', 'role("web", read_secret, send)'),
        ('role("migrate", read_secret)', 'role("migrate", read_secret, send)'),
        (
            'role("other", read_secret, send, put)',
            'role("other", read_secret, put, {**send, "Resource": "*"})',
        ),
    ):
        assert before in program
        program = program.replace(before, after)
    (twin.root / "__main__.py").write_text(program)
    broken = twin("iam", "--json", "--calls", str(cli.home / "state" / "calls" / "calls.jsonl"))
    assert broken.code == 1
    found = {
        one["role"]: {each["kind"] for each in one["findings"]} for one in json.loads(broken.stdout)["roles"]
    }
    assert found == {"web": {"denied"}, "migrate": {"excess"}, "other": {"reach"}}


def test_what_does_not_run_here_is_listed(cli: Cli) -> None:
    """Known types come with a reason, an unknown one is named as such."""
    words = (cli.home / "run" / "up.log").read_text()
    assert "resources have nothing to do here" in words
    assert "not known here, so not made: aws:glacier/vault:Vault" in words
    assert "set here instead of by the task definitions: BIND_HOST, PORT" in words


def test_ps_wait_and_token(cli: Cli) -> None:
    """The verbs that look at a running stack, as text and as one document."""
    shown = cli("ps")
    assert shown.code == 0
    names = [line.split()[0] for line in shown.stdout.splitlines()[1:9]]
    assert names == ["postgres", "valkey", "emulator", "program", "migrate", *names[5:]]
    assert sorted(names[5:]) == ["other", "web-1", "web-2"]
    assert shown.stdout.splitlines()[-1] == "stack local: ready, pid PID, http://127.0.0.1:PORT"
    document = json.loads(cli("ps", "--json").stdout)
    assert (document["ok"], document["phase"], document["late"]) == (True, "ready", {})
    assert cli("wait", "--timeout", "5").code == 0
    token = cli("token", "--user", "ana", "--scope", "entities:read", "--json")
    assert json.loads(token.stdout)["user"] == "ana"
    assert cli("token").stdout == "TOKEN\n"
    logs = cli("logs", "migrate")
    assert logs.stdout == "migrate | migrated by=small_admin\n"
    assert cli("logs", "nobody").stderr.startswith("error: there is no log of nobody")


def test_a_second_up_is_refused(cli: Cli) -> None:
    """While one runs, another one is told which process has the state, detached or not."""
    pid = status(cli)["pid"]
    for words in (["--detach"], []):
        ran = cli.start("up", "--no-replay", "--port", "0", *words)
        _, stderr = ran.communicate(timeout=60)
        assert ran.returncode == 2
        assert f"process {pid} holds" in stderr
        assert "slipway down" in stderr
    assert get(cli, "/other")[0]["service"] == "other"


def test_a_killed_service_comes_back(cli: Cli) -> None:
    """Kill -9: /ready of the whole stack says who is late, then a new process serves."""
    before = row(cli, "other")
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: row(cli, "other")["restarts"] == before["restarts"] + 1)
    until(lambda: row(cli, "other")["state"] == "ready")
    assert row(cli, "other")["pid"] != before["pid"]
    assert row(cli, "other")["port"] == before["port"]
    assert get(cli, "/other")[0]["pid"] == row(cli, "other")["pid"]
    assert "killed by SIGKILL" in cli("logs", "other").stdout


def test_state_is_kept_then_wiped(cli: Cli) -> None:
    """Down and up again: the same password, queue and rows; the one-off task ran again. --wipe drops all of it."""
    before, url = get(cli, "/other")[0], status(cli)["url"]
    down = cli("down")
    assert (down.code, down.stdout) == (0, "stopped; state kept (slipway down --wipe drops it)\n")
    assert left.processes(cli.home) == []
    assert not left.listens(url)
    assert cli("up", "--detach", "--no-replay", "--port", "0", "--timeout", "150").code == 0
    after = get(cli, "/other")[0]
    assert after["runs"] == before["runs"] + 1
    assert after["visits"] > before["visits"]
    assert [after[key] for key in ("redis_password", "secret_arn")] == [
        before[key] for key in ("redis_password", "secret_arn")
    ]
    assert emulator(cli, "kms").describe_key(KeyId="alias/small")["KeyMetadata"]["Enabled"]
    wiped = cli("down", "--wipe")
    assert wiped.stdout == "stopped; state removed from HOME\n"
    assert left.processes(cli.home) == []
    assert sorted(path.name for path in cli.home.iterdir()) in ([], ["lock"])


def test_a_failing_one_off_task_stops_the_start(cli: Cli) -> None:
    """Services wait for it: its exit code and last words end `up` with code 1, and nothing stays."""
    cli("down")
    (cli.root / "fail-migration").touch()
    try:
        ran = cli("up", "--no-replay", "--port", "0", "--no-progress", "--timeout", "150")
    finally:
        (cli.root / "fail-migration").unlink()
    assert ran.code == 1
    assert "error: one-off task 'migrate' failed with exit code 1" in ran.stderr
    assert "column missing" in ran.stderr
    assert "slipway logs migrate" in ran.stderr
    assert left.processes(cli.home) == []


@pytest.mark.parametrize("stage", ["servers", "program", "services"])
def test_interrupt_at_any_stage_leaves_nothing(cli: Cli, stage: str) -> None:
    """Ctrl-C while servers start, while the program runs, and once it serves: code 130, no process, no port."""
    cli("down")
    shutil.rmtree(cli.home / "run" / "up", ignore_errors=True)
    process = cli.start("up", "--no-replay", "--port", "0", "--no-progress", "--timeout", "150")
    assert process.stderr is not None
    awaited = {"servers": "starting", "program": "migrate", "services": "web"}[stage]
    for line in process.stderr:
        if awaited in line and (stage != "services" or "ready" in line):
            break
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 130
    assert left.processes(cli.home) == []
    assert cli("ps").code == 2


def test_replicas_of_a_service_that_is_not_there(cli: Cli) -> None:
    """A count for an unknown service ends the start with the names that the stack has."""
    cli("down")
    ran = cli("up", "--no-replay", "--port", "0", "--no-progress", "--replicas", "nosuch=2")
    assert ran.code == 2
    assert "error: --replicas names no service of this stack: nosuch" in ran.stderr
    assert "the stack has: " in ran.stderr
    assert left.processes(cli.home) == []


def test_a_killed_server_is_started_again(cli: Cli) -> None:
    """Each server killed by kill -9: its row shows a restart, and it serves again where its clients know it."""
    cli("down")
    started = cli("up", "--detach", "--no-replay", "--port", "0", "--timeout", "150")
    assert started.code == 0, started.shown()
    try:
        for name in ("postgres", "valkey", "emulator"):
            record = json.loads((cli.home / "run" / f"{name}.json").read_text())
            os.kill(record["child"], signal.SIGKILL)
            until(lambda name=name: row(cli, name)["restarts"] == 1 and row(cli, name)["state"] == "ready")
        assert cli("wait", "--timeout", "60").code == 0
    finally:
        assert cli("down").code == 0
    assert left.processes(cli.home) == []


def test_a_second_interrupt_kills(cli: Cli) -> None:
    """Ctrl-C twice does not wait for draining, and the servers end with it."""
    cli("down")
    process = cli.start("up", "--no-replay", "--port", "0", "--no-progress", "--timeout", "150")
    assert process.stderr is not None
    for line in process.stderr:
        if "web" in line and "ready" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.02)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    until(lambda: left.processes(cli.home) == [])


def test_task_definitions_are_read_as_they_are() -> None:
    """Command, environment, secrets, ports and stop time; a definition that cannot run here says why."""
    document = [
        {"name": "side", "essential": False, "command": ["x"]},
        {
            "name": "api",
            "entryPoint": ["python"],
            "command": ["-m", "apps.api"],
            "environment": [{"name": "A", "value": "1"}],
            "secrets": [{"name": "B", "valueFrom": "arn:aws:ssm:r:1:parameter/b"}],
            "portMappings": [{"containerPort": 8000.0}],
            "stopTimeout": 60,
        },
    ]
    task = tasks.parse("arn", {"family": "f", "containerDefinitions": json.dumps(document)})
    assert (task.container, task.command, task.ports) == ("api", ("python", "-m", "apps.api"), (8000,))
    assert (task.environment, task.secrets) == ({"A": "1"}, {"B": "arn:aws:ssm:r:1:parameter/b"})
    assert (task.stop_seconds, task.others) == (60.0, ("side",))
    for broken, words in (
        ("[]", "no container definitions"),
        ("{", "no container definitions"),
        ('[{"name":"x"}]', "no command"),
    ):
        with pytest.raises(LabError, match=words):
            tasks.parse("arn", {"family": "f", "containerDefinitions": broken})


def test_overrides_touch_nothing_else() -> None:
    """Only variables of the printed list differ from the task definition, and none is added that it does not name."""

    class Server:
        host, port, ca_file = "127.0.0.1", 1, Path("/ca.pem")

    class Running:
        postgres = redis = Server()
        aws = AwsEndpoint("http://e", "r", "1", "1", "s", "")

    given = {"SERVICE": "api", "PORT": "8000", "DATABASE_HOST": "x", "DATABASE_PORT": "5432"}
    task = tasks.TaskDefinition("arn", "f", "api", ("x",), given, {"SECRET": "arn:s"}, (8000,), 30.0)
    addresses = tasks.Addresses(Running(), "http://front")  # type: ignore[arg-type]
    got = tasks.environment(task, lambda arn: f"value of {arn}", addresses, 4321)
    assert got["SERVICE"] == "api"
    assert got["SECRET"] == "value of arn:s"
    assert (got["PORT"], got["DATABASE_HOST"], got["DATABASE_PORT"]) == ("4321", "127.0.0.1", "1")
    assert "REDIS_HOST" not in got
    assert "AUTH_ISSUER" not in got
    assert {name for name, value in got.items() if given.get(name) != value} - {"SECRET"} <= set(
        tasks.OVERRIDES
    )


def test_secrets_manager_references_with_a_key() -> None:
    """`arn:key::` picks one field of a JSON secret; a missing one is an error that names the ARN."""

    class Client:
        def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803
            assert SecretId == "arn:aws:secretsmanager:r:1:secret:db-AbCdEf"
            return {"SecretString": '{"password": "p"}'}

    resolve = tasks.resolver(lambda _service: Client())
    assert resolve("arn:aws:secretsmanager:r:1:secret:db-AbCdEf:password::") == "p"
    with pytest.raises(LabError, match="cannot be resolved"):
        resolve("arn:aws:secretsmanager:r:1:secret:db-AbCdEf:user::")


def test_passwords_follow_their_rules() -> None:
    """Length, alphabet and the minimum of each class are the declared ones."""
    word = generate({"length": 24.0, "special": False, "minNumber": 5, "minUpper": 3})
    assert len(word) == 24
    assert word.isalnum()
    assert sum(letter.isdigit() for letter in word) >= 5
    assert sum(letter.isupper() for letter in word) >= 3
    assert set(
        generate({"length": 50, "lower": False, "upper": False, "number": False, "overrideSpecial": "#!"})
    ) == {"#", "!"}


def test_queue_attributes_are_strings_as_sqs_wants_them() -> None:
    """Pulumi's numbers are floats: 45.0 is sent as 45."""
    assert [text(45.0), text(True), text("x"), text(1.5)] == ["45", "true", "x", "1.5"]


def test_every_type_of_the_local_stack_is_made_or_explained() -> None:
    """No resource of the repository's own stack falls into `not known here`."""
    graph = synth(Path(__file__).parents[2], "local", mode="resolved")
    custom = {resource.type for resource in graph if resource.custom}
    unknown = {kind for kind in custom if kind not in MAKERS and not any(map(kind.startswith, NOT_RUN))}
    assert unknown == set()
