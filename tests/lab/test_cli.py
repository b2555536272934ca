"""The command line without a running stack: help, usage errors, JSON failures, exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli import main
from lab.cli.common import project_root, seconds
from lab.errors import LabError
from lab.output import Output
from lab.servers.state import wipe
from tests.lab.cli import Cli, Ran, small


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The small project with an empty state folder; what servers of root keep elsewhere goes with it."""
    made = small(tmp_path)
    yield made
    wipe(made.home)


@pytest.fixture
def here(cli: Cli, monkeypatch, capsys):
    """The same, in this process: most verbs need no process of their own to be tested."""
    monkeypatch.chdir(cli.root)
    monkeypatch.setenv("SLIPWAY_HOME", str(cli.home))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str, **more: str) -> Ran:
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        code = main(words)
        out, err = capsys.readouterr()
        return Ran(code, cli.filtered(out), cli.filtered(err))

    return run


def test_help_is_grouped_with_examples_first(here) -> None:
    """The help shows examples before flags, and the verbs by what one wants to do."""
    ran = here("--help")
    assert ran.code == 0
    places = [
        ran.stdout.index(word)
        for word in ("examples:", "run a stack here:", "judge a stack", "common flags:")
    ]
    assert places == sorted(places)
    for verb in ("up", "down", "ps", "logs", "wait", "token"):
        assert f"\n  {verb} " in ran.stdout


@pytest.mark.parametrize("verb", ["up", "down", "ps", "logs", "wait", "token"])
def test_every_verb_has_examples_and_the_common_flags(cli: Cli, verb: str, capsys) -> None:
    """The same flags everywhere, examples before them."""
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.index("examples:") < text.index("--stack")
    for flag in ("--json", "--out", "--quiet", "--verbose", "--no-color", "--no-progress", "--timeout"):
        assert flag in text


GOLDEN = {
    ("nothing",): """\
--- code 2
--- stdout
--- stderr
error: argument VERB: invalid choice: 'nothing' (choose from VERBS)
hint: slipway --help
""",
    ("ps", "--stak", "dev"): """\
--- code 2
--- stdout
--- stderr
error: unrecognized arguments: --stak
hint: slipway --help
""",
    ("up", "prod"): """\
--- code 2
--- stdout
--- stderr
error: stack 'prod' is unknown
  there is no Pulumi.prod.yaml in ROOT
hint: choose one of: local, other
""",
    ("up", "--port", "70000"): """\
--- code 2
--- stdout
--- stderr
error: argument --port: '70000', which is no port number (0 to 65535)
hint: slipway up --help
""",
    ("up", "--replicas", "api=many"): """\
--- code 2
--- stdout
--- stderr
error: --replicas 'api=many' is not understood
  a number from 1 to 20, or NAME=NUMBER, is wanted
hint: slipway up --replicas api=2
""",
    ("up", "--replay", "x.csv", "--no-replay"): """\
--- code 2
--- stdout
--- stderr
error: --replay and --no-replay contradict each other
hint: give one of them
""",
    ("ps",): """\
--- code 2
--- stdout
--- stderr
error: stack 'local' is not running
  nothing holds HOME
hint: slipway up
""",
    ("wait", "other"): """\
--- code 2
--- stdout
--- stderr
error: stack 'other' is not running
  nothing holds HOME/stacks/other
hint: slipway up -s other
""",
    ("token",): """\
--- code 2
--- stdout
--- stderr
error: stack 'local' is not running
  nothing holds HOME
hint: slipway up
""",
    ("down",): """\
--- code 0
--- stdout
nothing was running
--- stderr
""",
    ("down", "--wipe"): """\
--- code 0
--- stdout
nothing was running; there was no state
--- stderr
""",
    ("logs", "api"): """\
--- code 2
--- stdout
--- stderr
error: there is no log of api
  there are logs of: nothing
hint: slipway up
""",
    ("wait", "--timeout", "soon"): """\
--- code 2
--- stdout
--- stderr
error: argument --timeout: 'soon' is no number of seconds above zero, such as 30 or 2m
hint: slipway wait --help
""",
    ("ps", "--json"): """\
--- code 2
--- stdout
{
  "version": 1,
  "command": "ps",
  "ok": false,
  "error": {
    "code": "not-running",
    "message": "stack 'local' is not running",
    "cause": "nothing holds HOME",
    "hint": "slipway up"
  }
}
--- stderr
error: stack 'local' is not running
  nothing holds HOME
hint: slipway up
""",
}


@pytest.mark.parametrize("words", GOLDEN, ids=" ".join)
def test_golden(here, words: tuple[str, ...]) -> None:
    """Standard output, standard error and exit code of each verb that has nothing to work on."""
    shown = here(*words).shown()
    if "choose from" in shown:
        before, _, rest = shown.partition("(choose from ")
        shown = f"{before}(choose from VERBS){rest.partition(')')[2]}"
    assert shown == GOLDEN[words]


def test_outside_a_project(tmp_path: Path, monkeypatch) -> None:
    """Without a Pulumi.yaml upwards there is one error that says where it looked."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match="is in no Slipway project"):
        project_root()


def test_the_project_is_found_upwards(cli: Cli) -> None:
    """A verb works from any folder of the project."""
    inner = cli.root / "a" / "b"
    inner.mkdir(parents=True)
    assert project_root(inner) == cli.root.resolve()


def test_flags_stand_before_or_after_the_verb(here) -> None:
    """`slipway --json ps` is `slipway ps --json`."""
    assert here("--json", "ps") == here("ps", "--json")


def test_out_writes_the_result_to_a_file(here, cli: Cli) -> None:
    """--out FILE takes what would go to standard output; a folder that is not there is made."""
    ran = here("down", "--json", "--out", "results/down.json")
    assert (ran.code, ran.stdout) == (0, "")
    document = json.loads((cli.root / "results" / "down.json").read_text())
    assert document == {
        "version": 1,
        "command": "down",
        "ok": True,
        "stack": "local",
        "stopped": False,
        "removed": [],
    }


def test_verbose_shows_the_traceback_and_nothing_else_does(here) -> None:
    """A traceback is for -v only."""
    assert "Traceback" not in here("ps").stderr
    assert "Traceback" in here("ps", "-v").stderr


def test_an_internal_error_is_words(monkeypatch, capsys) -> None:
    """A fault of our own says so and how to see more; a full disk is told apart."""
    monkeypatch.setattr("lab.cli.ps.run", lambda _args: 1 / 0)
    assert main(["ps"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: slipway itself failed: ZeroDivisionError"

    def full(_args: object) -> int:
        raise OSError(28, "No space left on device", "/x")

    monkeypatch.setattr("lab.cli.ps.run", full)
    assert main(["ps"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: no space left on the disk"


def test_interrupt_is_130(monkeypatch, capsys) -> None:
    """Ctrl-C during any verb ends with the shell's code for it."""

    def interrupted(_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.cli.ps.run", interrupted)
    assert main(["ps"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_colours_only_on_a_terminal(monkeypatch) -> None:
    """Colour needs a terminal and no NO_COLOR; the words are the same without it."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Output(stderr=Terminal()).paint("x", "red") == "\x1b[31mx\x1b[0m"  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output(stderr=Terminal()).paint("x", "red") == "x"  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "value"), [("30", 30), ("1.5", 1.5), ("20s", 20), ("2m", 120)])
def test_seconds(text: str, value: float) -> None:
    """A duration is a number, with s or m if one likes."""
    assert seconds(text) == value


def test_port_taken_is_told_before_anything_starts(cli: Cli) -> None:
    """A taken port ends `up` with who holds it and the way out, and nothing is left running."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = cli("up", "--no-progress", "--no-replay", SLIPWAY_PORT=str(port))
    assert ran.code == 2
    assert f"error: port {port} is taken by pid PID (" in ran.stderr
    assert "SLIPWAY_PORT" in ran.stderr
    assert cli("ps").code == 2


def test_a_state_folder_of_another_version_is_not_touched(cli: Cli) -> None:
    """A stale state folder ends `up` with the way out."""
    (cli.home / "state" / "postgres").mkdir(parents=True)
    (cli.home / "version").write_text("0\n")
    ran = cli("up", "--no-progress", "--no-replay", "--port", "0")
    assert ran.code == 2
    assert "version 1" in ran.stderr
    assert "slipway down --wipe" in ran.stderr
    assert (cli.home / "version").read_text() == "0\n"


def test_a_wrong_setting_is_told(here) -> None:
    """SLIPWAY_PORT that is no port."""
    assert "SLIPWAY_PORT is 'x', which is no port number" in here("up", SLIPWAY_PORT="x").stderr


def test_a_reader_that_goes_is_no_error(cli: Cli) -> None:
    """`slipway logs | head -1`: the closed pipe ends the verb with code 0 and no words."""
    logs = cli.home / "run" / "logs"
    logs.mkdir(parents=True)
    (logs / "api.log").write_text("x\n" * 200_000)
    process = subprocess.Popen(
        cli.command("logs", "-n", "200000"),
        cwd=cli.root,
        env=cli.environment(),
        stdout=-1,
        stderr=-1,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "api | x\n"
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_logs_follow_new_lines_across_a_rotation(here, cli: Cli) -> None:
    """`logs -f` goes on with the new file after the old one was moved aside; JSON is rendered, --raw is not."""
    logs = cli.home / "run" / "logs"
    logs.mkdir(parents=True)
    path = logs / "api.log"
    path.write_text('{"level":"info","event":"one"}\n')
    process = cli.start("logs", "-f", "api")
    assert process.stdout is not None
    assert process.stdout.readline() == "api | info one\n"
    path.rename(logs / "api.log.1")
    path.write_text("two\n")
    assert process.stdout.readline() == "api | two\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 130
    process.communicate()
    assert here("logs", "--raw", "api").stdout == '{"level":"info","event":"one"}\ntwo\n'
    assert json.loads(here("logs", "--json", "-n", "1").stdout)["logs"] == {"api": ["two"]}


def test_a_broken_program_ends_up_with_its_place(cli: Cli) -> None:
    """An error of the program itself is shown with file and line, and nothing is left running."""
    (cli.root / "__main__.py").write_text("import pulumi\n\nraise RuntimeError('no zone')\n")
    began = time.monotonic()
    ran = cli("up", "--no-progress", "--no-replay", "--port", "0")
    assert ran.code == 2
    assert "RuntimeError: no zone" in ran.stderr
    assert "__main__.py:3" in ran.stderr
    assert time.monotonic() - began < 60
    assert cli("ps").code == 2
