"""Where an instance keeps its files, and what a folder has to be like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from desktop.failure import ExitCode, Failure
from desktop.paths import SOCKET_PATH_LIMIT, Home


def test_everything_is_below_the_home() -> None:
    home = Home(Path("/h"))
    parts = [name for name, value in vars(Home).items() if isinstance(value, property)]
    paths = [getattr(home, name) for name in parts if name != "docker_host"]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to("/h") for path in paths)
    assert home.docker_host == "unix:///h/run/docker.sock"


def test_the_environment_names_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COVE_HOME", "some/../where")
    assert Home.from_environment().path == tmp_path / "where"
    monkeypatch.setenv("COVE_HOME", "")
    assert Home.from_environment().path == Path.home() / ".cove"


def test_a_path_too_long_for_a_socket_is_told_before_anything_is_made(tmp_path: Path) -> None:
    room = SOCKET_PATH_LIMIT - len("/run/docker.sock")
    fits = Home(Path("/" + "x" * (room - 1)))
    fits.check()
    long = Home(tmp_path / ("y" * 120))
    with pytest.raises(Failure, match="too long for a socket") as caught:
        long.create()
    assert caught.value.exit_code == ExitCode.SETTING
    assert "shorter" in caught.value.hint
    assert not long.path.exists()


def test_multibyte_names_count_as_bytes() -> None:
    with pytest.raises(Failure, match="bytes"):
        Home(Path("/" + "ü" * 60)).check()


def test_create_makes_private_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "c")
    home.create()
    home.create()
    for folder in (home.path, home.run, home.keys, home.logs, home.disk.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("")
    with pytest.raises(Failure, match="can't be made") as caught:
        Home(tmp_path / "c").create()
    assert caught.value.exit_code == ExitCode.SETTING


def test_a_folder_without_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may everything, so the system's answer is the one thing that is played here
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Failure, match="can't be used"):
        Home(tmp_path / "c").create()


def test_failures_survive_the_socket() -> None:
    failure = Failure("It failed.", "Because.", "Do this.", ExitCode.MISSING)
    again = Failure.from_record(failure.to_record())
    assert (str(again), again.exit_code) == ("It failed.\nBecause.\nDo this.", 4)
    assert str(Failure("Only this.")) == "Only this."
