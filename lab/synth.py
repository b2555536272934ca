"""Composes a stack in process: the project's program against a monitor, with no cloud, CLI or credentials."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import logging
import runpy
import sys
import traceback
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import yaml
from pulumi.runtime import config as pulumi_config
from pulumi.runtime import mocks, settings
from pulumi.runtime import stack as pulumi_stack

from lab.computed import ResolvedCreator
from lab.errors import LabError
from lab.model import Graph, Mode
from lab.monitor import Creator, Monitor, PreviewCreator

_LOG: Final = logging.getLogger("lab.synth.program")
# errors whose message is already written for the person who reads it: nothing is added to it
_SPOKEN: Final = frozenset(("StackConfigError", "AppContractError", "RunError", "ConfigMissingError"))


class SynthError(LabError):
    """The program of a stack did not compose."""

    def __init__(
        self, message: str, cause: str | None = None, hint: str | None = None, code: str = "synth"
    ) -> None:
        super().__init__(message, cause=cause, hint=hint, code=code)


def synth(
    root: Path,
    stack: str,
    *,
    mode: Mode = "preview",
    creator: Creator | None = None,
    monitor: Monitor | None = None,
) -> Graph:
    """The resource graph of `stack` of the project in `root`.

    `creator` answers registrations instead of the mode's own; `monitor` replaces the whole engine side.
    """
    project, config, secrets = read_stack(root, stack)
    return compose(
        lambda: _run_program(root),
        project=project,
        stack=stack,
        mode=mode,
        creator=creator,
        monitor=monitor,
        config=config,
        secret_keys=secrets,
        root=root,
    )


def synth_so_far(root: Path, stack: str) -> tuple[Graph, LabError | None]:
    """The preview-mode graph of `stack`, and what ended its program half-way, if something did."""
    project, config, secrets = read_stack(root, stack)
    return compose_so_far(
        lambda: _run_program(root),
        project=project,
        stack=stack,
        config=config,
        secret_keys=secrets,
        root=root,
    )


def compose(
    program: Callable[[], object],
    *,
    project: str = "slipway",
    stack: str = "test",
    mode: Mode = "preview",
    creator: Creator | None = None,
    monitor: Monitor | None = None,
    config: Mapping[str, str] | None = None,
    secret_keys: list[str] | None = None,
    root: Path | None = None,
) -> Graph:
    """The graph of any program given as a function. It runs its own event loop: call it outside of one."""
    engine = monitor or _monitor(project, stack, mode, creator)
    error = _run(program, engine, lambda: _settings(engine, project, stack, mode, root), config, secret_keys)
    if isinstance(error, LabError):
        raise error
    if error is not None:
        raise _explain(error, root, stack) from error
    return engine.graph()


def compose_so_far(
    program: Callable[[], object],
    *,
    project: str = "slipway",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    secret_keys: list[str] | None = None,
    root: Path | None = None,
) -> tuple[Graph, LabError | None]:
    """As `compose` at preview, but a program that fails leaves what it had registered until then."""
    engine = _monitor(project, stack, "preview", None)
    raised: list[Exception] = []

    def until_it_fails() -> None:
        # what was registered before is on its way still, and is waited for as if nothing had happened
        try:
            program()
        except Exception as error:  # noqa: BLE001  it is told when the rest is there
            raised.append(error)

    late = _run(
        until_it_fails,
        engine,
        lambda: _settings(engine, project, stack, "preview", root),
        config,
        secret_keys,
    )
    error = raised[0] if raised else late
    if error is None or isinstance(error, LabError):
        return engine.graph(), error
    explained = _explain(error, root, stack)
    explained.__cause__ = error
    return engine.graph(), explained


def _run(
    program: Callable[[], object],
    engine: Monitor,
    chosen: Callable[[], settings.Settings],
    config: Mapping[str, str] | None,
    secret_keys: list[str] | None,
) -> Exception | None:
    """Run the program against the engine; what ended it, if it was not its own end.

    The settings are made where they are used: they live in the context that makes them.
    """

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(_unretrieved)
        if getattr(engine.creator, "instant", False):
            asyncio.get_running_loop().set_default_executor(_Inline(max_workers=1))
        pulumi_config.set_all_config(dict(config or {}), secret_keys or [])
        settings.configure(chosen())
        await pulumi_stack.run_in_stack(_returning_nothing(program))

    # an empty context: nothing of an earlier run (root stack, settings) is seen, and nothing leaks out
    try:
        with _no_collection():
            contextvars.Context().run(asyncio.run, main())
    except Exception as error:  # noqa: BLE001  the caller puts it in words
        return error
    return None


def _unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One failure ends a program, and every output that waited for it holds it too: it is told once."""
    if str(context.get("message")).endswith("exception was never retrieved"):
        _LOG.debug("%s", context["message"], exc_info=context.get("exception"))
    else:
        loop.default_exception_handler(context)


@contextlib.contextmanager
def _no_collection() -> Generator[None]:
    """Without the cyclic collector: imports and outputs make so many objects that it takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Inline(ThreadPoolExecutor):
    """Answers that are made up at once need no thread, and no waiting for the interpreter's lock."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  it is raised where the future is awaited
            future.set_exception(error)
        return future


def _monitor(project: str, stack: str, mode: Mode, creator: Creator | None) -> Monitor:
    chosen = creator or (PreviewCreator() if mode == "preview" else ResolvedCreator())
    monitor = Monitor(chosen, project=project, stack=stack, mode=mode)
    if isinstance(chosen, ResolvedCreator):
        chosen.monitor = monitor
    return monitor


def _settings(monitor: Monitor, project: str, stack: str, mode: Mode, root: Path | None) -> settings.Settings:
    return settings.Settings(
        project,
        stack,
        monitor=monitor,
        engine=mocks.MockEngine(_LOG),
        dry_run=mode == "preview",
        organization="organization",
        root_directory=str(root) if root else None,
    )


def _returning_nothing(program: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        program()

    return run


def _run_program(root: Path) -> None:
    """Run `__main__.py` as the language host does: from its folder, which comes first on the module path."""
    # stdout belongs to the verb's data; what a program prints is talk
    with _importing_from(root), contextlib.redirect_stdout(sys.stderr):
        runpy.run_path(str(root / "__main__.py"), run_name="__main__")


@contextlib.contextmanager
def _importing_from(root: Path) -> Generator[None]:
    folder = str(root)
    before = Path.cwd()
    sys.path.insert(0, folder)
    try:
        if before != root:
            with contextlib.chdir(root):
                yield
        else:
            yield
    finally:
        sys.path.remove(folder)


# --- the project's files


def read_stack(root: Path, stack: str) -> tuple[str, dict[str, str], list[str]]:
    """The project's name, the stack's config as an engine hands it over, and which keys are secret."""
    project = _project_name(root)
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(each.name.split(".")[1] for each in root.glob("Pulumi.*.yaml"))
        raise SynthError(
            f"there is no stack {stack!r}",
            cause=f"{path} does not exist",
            hint=f"one of: {', '.join(known)}" if known else f"write {path.name}",
            code="no-stack",
        )
    document = _yaml(path)
    entries: Any = document.get("config") or {}
    if not isinstance(entries, Mapping):
        raise SynthError(f"{path.name}: config is no mapping", hint="write keys under `config:`")
    config: dict[str, str] = {}
    secrets: list[str] = []
    for key, value in cast("Mapping[Any, Any]", entries).items():
        if not isinstance(key, str):
            # YAML reads `on`, `yes` and numbers as something else than text
            raise SynthError(f"{path.name}: the config key {key!r} is no text", hint="put it in quotes")
        full = key if ":" in key else f"{project}:{key}"
        if isinstance(value, Mapping) and set(cast("Mapping[str, Any]", value)) == {"secure"}:
            # only the real engine, with the stack's passphrase, can decrypt it
            config[full] = "[secret]"
            secrets.append(full)
        else:
            config[full] = value if isinstance(value, str) else json.dumps(value, default=str)
    return project, config, secrets


def _project_name(root: Path) -> str:
    path = root / "Pulumi.yaml"
    if not path.is_file():
        raise SynthError(
            f"{root} is no Pulumi project",
            cause="it has no Pulumi.yaml",
            hint="run from the project's folder",
            code="no-project",
        )
    name = _yaml(path).get("name")
    if not isinstance(name, str) or not name:
        raise SynthError(f"{path.name} has no `name`", hint="name the project: `name: slipway`")
    return name


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SynthError(f"{path.name} cannot be read", cause=str(error), hint="mend the file") from error
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise SynthError(f"{path.name} is no mapping", hint="a stack file is `config:` with keys under it")
    return cast("Mapping[str, Any]", document)


# --- errors


def _explain(error: Exception, root: Path | None, stack: str) -> SynthError:
    """The program's error, with the place in the program where it came from."""
    kind = type(error).__name__
    if kind in _SPOKEN:
        message, _, hint = str(error).partition("\nhint: ")
        return SynthError(message, hint=hint or None, code="config" if "Config" in kind else "synth")
    frame = _user_frame(error, root)
    place = f"{frame.filename}:{frame.lineno}, in {frame.name}\n    {frame.line}" if frame else None
    words = f"{kind}: {error}" if str(error) else kind
    return SynthError(
        f"the program of stack {stack!r} failed: {words}",
        cause=place,
        hint="mend the program at that line; -v shows the whole traceback",
    )


def _user_frame(error: BaseException, root: Path | None) -> traceback.FrameSummary | None:
    """The innermost frame of the project's own files, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__
    while cause is not None:
        frames = [*frames, *traceback.extract_tb(cause.__traceback__)]
        cause = cause.__cause__
    here = Path(__file__).parent
    own = [
        frame
        for frame in frames
        if (root is None or Path(frame.filename).is_relative_to(root))
        and "site-packages" not in frame.filename
        and not Path(frame.filename).is_relative_to(here)
        and not frame.filename.startswith("<")
    ]
    if own:
        return own[-1]
    return frames[-1] if frames else None
