"""The state folder: one holder, its version, room on the disk, and how it is dropped."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.servers.owner import Owner, orphans, own_folder, reachable, socket_folder
from lab.servers.state import State, default_home, held, outside_folder, wipe, write_private


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second `up` is told which process holds the folder, and gets it once that one lets go."""
    with State(tmp_path / "home"):
        assert held(tmp_path / "home")
        with pytest.raises(LabError) as caught:
            State(tmp_path / "home").open()
        assert caught.value.code == "state-in-use"
        assert str(os.getpid()) in (caught.value.cause or "")
        assert "slipway down" in (caught.value.hint or "")
    assert not held(tmp_path / "home")
    State(tmp_path / "home").open().close()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A holder that was killed holds nothing: no lock file has to be removed by hand."""
    code = "import os,sys,pathlib; from lab.servers.state import State; State(pathlib.Path(sys.argv[1])).open(); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], check=False)
    assert done.returncode == -9
    State(tmp_path / "home").open().close()


def test_a_look_does_not_stop_a_start(tmp_path: Path) -> None:
    """Whoever asks whether the folder is held has its lock for a moment; a start outlasts that."""
    State(tmp_path / "home").open().close()
    with (tmp_path / "home" / "lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_EX)
        threading.Timer(0.1, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        State(tmp_path / "home").open().close()


@pytest.mark.parametrize("found", ["0", "99", "", "garbage"])
def test_another_version_is_refused(tmp_path: Path, found: str) -> None:
    """State of an older, newer or unreadable version is not touched, and the error names the way out."""
    state = State(tmp_path / "home")
    state.open().close()
    (tmp_path / "home" / "version").write_text(found)
    with pytest.raises(LabError) as caught:
        State(tmp_path / "home").open()
    assert caught.value.code == "state-version"
    assert "down --wipe" in (caught.value.hint or "")
    assert (tmp_path / "home" / "version").read_text() == found
    assert not held(tmp_path / "home"), "a refused start must not keep the folder"


def test_data_without_version_is_refused(tmp_path: Path) -> None:
    """Data that an unversioned program left is not taken for our own."""
    (tmp_path / "home" / "state" / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(LabError, match="without a version"):
        State(tmp_path / "home").open()


def test_wipe_mends_a_stale_version(tmp_path: Path) -> None:
    """What the hint says works: after a wipe the folder opens again, empty."""
    home = tmp_path / "home"
    with State(home) as state:
        state.secret("postgres")
    (home / "version").write_text("0")
    removed = wipe(home)
    assert home / "state" in removed
    with State(home) as state:
        assert not list(state.data("secrets").iterdir())


def test_wipe_refuses_a_running_stack(tmp_path: Path) -> None:
    """Data is never dropped below running servers."""
    with State(tmp_path / "home"), pytest.raises(LabError) as caught:
        wipe(tmp_path / "home")
    assert caught.value.code == "state-in-use"


def test_wipe_of_nothing(tmp_path: Path) -> None:
    """Wiping a folder that never was removes nothing and makes nothing."""
    assert wipe(tmp_path / "home") == []
    assert not (tmp_path / "home").exists()


def test_full_disk_is_told_before_the_start(tmp_path: Path) -> None:
    """With less room than needed nothing is started, and the error says how much is missing."""
    with pytest.raises(LabError) as caught:
        State(tmp_path / "home", min_free_bytes=1 << 60).open()
    assert caught.value.code == "disk-full"
    assert "SLIPWAY_HOME" in (caught.value.hint or "")
    assert not held(tmp_path / "home")


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A state folder that cannot be made is an error with its cause, not a traceback."""
    (tmp_path / "home").write_text("a file")
    with pytest.raises(LabError) as caught:
        State(tmp_path / "home").open()
    assert caught.value.code == "state-unusable"
    assert caught.value.cause


def test_secrets_are_private_and_kept(tmp_path: Path) -> None:
    """A password is made once, readable by its owner only, and different for each name."""
    with State(tmp_path / "home") as state:
        first = state.secret("one")
        assert state.secret("one") == first
        assert state.secret("two") != first
        assert len(first) >= 32
        assert (state.data("secrets") / "one").stat().st_mode & 0o777 == 0o600


def test_private_file_replaces_whole(tmp_path: Path) -> None:
    """A file of open rights is replaced by one of closed rights, never written through."""
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_home_is_of_the_project_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SLIPWAY_HOME` moves the state folder; without it the state is the project's own."""
    monkeypatch.delenv("SLIPWAY_HOME", raising=False)
    assert default_home(tmp_path) == tmp_path.resolve() / ".slipway"
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "elsewhere"))
    assert default_home(tmp_path) == tmp_path / "elsewhere"


def test_two_homes_never_share_a_folder_outside(tmp_path: Path) -> None:
    """Two checkouts of root have two folders below /var/lib."""
    assert outside_folder(tmp_path / "a") != outside_folder(tmp_path / "b")


def test_data_outside_belongs_to_one_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data left outside by a state folder that was deleted by hand is not taken over by the next one."""
    for module in ("lab.servers.state", "lab.servers.owner"):
        monkeypatch.setattr(f"{module}.OUTSIDE", tmp_path / "outside")
    owner = Owner(os.getuid(), os.getgid())
    with State(tmp_path / "home") as state:
        folder = own_folder(state, "postgres", owner)
        assert folder.parent == outside_folder(state.home)
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "old").write_text("data")
        assert (own_folder(state, "postgres", owner) / "old").exists()
        (state.home / "id").unlink()
        assert not (own_folder(state, "postgres", owner) / "old").exists()
        assert orphans() == []
    shutil.rmtree(tmp_path / "home")
    assert orphans() == [(folder.parent, str(tmp_path / "home"))]


def test_a_long_path_gets_short_sockets(tmp_path: Path) -> None:
    """A socket's path has a limit of 107 bytes: a deep project gets a private folder elsewhere."""
    state = State(tmp_path / ("deep" * 30))
    folder = socket_folder(state, None, ".s.PGSQL.5432")
    try:
        assert len(str(folder / ".s.PGSQL.5432")) < 107
        assert folder.stat().st_mode & 0o077 == 0
        folder.chmod(0o755)
        with pytest.raises(LabError, match="not a folder of this user alone"):
            socket_folder(state, None, ".s.PGSQL.5432")
    finally:
        folder.rmdir()


def test_closed_folders_are_seen(tmp_path: Path) -> None:
    """A program below a folder that the servers' account may not enter is known to be out of its reach."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stranger = Owner(os.getuid() + 4711, os.getgid() + 4711)
    assert not reachable(closed / "program", stranger)
    assert reachable(closed / "program", None)
    assert reachable(Path("/usr/bin/env"), stranger)
