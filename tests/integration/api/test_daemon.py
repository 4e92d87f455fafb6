"""The engine as a process: start, a second one, kill -9, clean end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.native import REPO, new_engine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def engine():
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "engine", *flags]
    return subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=20, check=False)


def test_second_engine_on_the_same_root(engine):
    done = start("--root", str(engine.root), "--socket", str(engine.folder / "other.sock"))
    assert done.returncode == 1
    assert f"another engine (process {engine.process.pid}) is using {engine.root}" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_engine_on_the_same_socket(engine):
    other = engine.folder / "other"
    done = start("--root", str(other), "--socket", str(engine.socket))
    assert done.returncode == 1
    assert "already served by another program" in done.stderr
    assert engine.docker("version").returncode == 0


def test_socket_path_too_long(engine):
    done = start("--root", str(engine.folder / "o"), "--socket", f"/var/tmp/{'x' * 120}/s")
    assert done.returncode == 1
    assert "longer than 107 bytes" in done.stderr


def test_socket_is_for_its_owner_alone(engine):
    assert engine.socket.stat().st_mode & 0o777 == 0o600


def test_mounts_stay_in_a_namespace_of_their_own(engine):
    engine.docker("run", "-d", "--name", "mounted", "busybox", "sleep", "600")
    try:
        ours = os.stat("/proc/self/ns/mnt").st_ino
        assert os.stat(f"/proc/{engine.process.pid}/ns/mnt").st_ino != ours
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            assert str(engine.root) not in mounts.read()
    finally:
        engine.docker("rm", "-f", "mounted")


def test_killed_engine_finds_its_containers_and_mounts_again(engine):
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "fleeting")
    engine.docker(
        "run", "-d", "--name", "survivor", "-v", "fleeting:/t", "busybox",
        "sh", "-c", "echo kept >/t/file; exec sleep 600",
    )  # fmt: skip
    namespace = os.stat(f"/proc/{engine.process.pid}/ns/mnt").st_ino
    engine.restart(kill=True)
    try:
        assert os.stat(f"/proc/{engine.process.pid}/ns/mnt").st_ino == namespace
        assert engine.docker("exec", "survivor", "cat", "/t/file").stdout == "kept\n"
        done = engine.docker("volume", "rm", "fleeting", check=False)
        assert "volume is in use" in done.stderr
        # the same volume again: what is in it is there, not a fresh tmpfs
        shown = engine.docker("run", "--rm", "-v", "fleeting:/t", "busybox", "cat", "/t/file")
        assert shown.stdout == "kept\n"
        engine.docker("stop", "-t", "0", "survivor")
    finally:
        engine.docker("rm", "-f", "survivor")
        engine.docker("volume", "rm", "-f", "fleeting")


def test_identity_survives(engine):
    before = engine.docker("info", "--format", "{{.ID}}").stdout
    engine.restart()
    assert engine.docker("info", "--format", "{{.ID}}").stdout == before


def test_sigterm_ends_streams_and_removes_the_socket(engine):
    events = subprocess.Popen(
        ["docker", "events"],
        env={**os.environ, "DOCKER_HOST": engine.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.3)
    began = time.monotonic()
    process = engine.process
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(10) == 0
        assert time.monotonic() - began < 3
        events.wait(5)
        assert not engine.socket.exists()
    finally:
        events.kill()
        events.wait()
        engine.stop()
        engine.start()


def test_held_start_touches_nothing(tmp_path):
    reading, writing = os.pipe()
    root = tmp_path / "root"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "--root", str(root), "--socket", str(tmp_path / "s"),
         "--hold-fd", str(reading)],
        cwd=REPO, pass_fds=[reading], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(reading)
    try:
        time.sleep(1)
        assert process.poll() is None
        assert not root.exists()
        os.write(writing, b"x")
        assert process.stdout.readline().startswith(b"ready unix://")
        assert root.exists()
    finally:
        os.close(writing)
        process.terminate()
        process.communicate(timeout=10)


def test_later_mounts_of_the_machine_reach_containers(engine, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True)
    try:
        # as a machine with systemd has all its mounts
        subprocess.run(["mount", "--make-shared", str(tmp_path)], check=True)
        engine.restart()
        late = tmp_path / "late"
        late.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(late)], check=True)
        (late / "file").write_text("late\n")
        done = engine.docker("run", "--rm", "-v", f"{late}:/m", "busybox", "cat", "/m/file")
        assert done.stdout == "late\n"
    finally:
        subprocess.run(["umount", "-R", "-l", str(tmp_path)], check=True)
