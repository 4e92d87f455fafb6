"""The engine is killed at bad moments; what it promised still holds afterwards."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


def test_containers_outlive_the_engine(engine: NativeEngine) -> None:
    # it ends once it is told to, however slow this machine is
    script = (
        "i=0; while [ ! -e /end ] || [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 0.1; done;"
        " echo end; exit 33"
    )
    engine.docker("run", "-d", "--name", "counter", "busybox", "sh", "-c", script)
    engine.docker("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; exit 7")
    engine.docker("run", "-di", "--name", "cat", "busybox", "cat")
    engine.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1")
    time.sleep(0.3)
    engine.stop(signal.SIGKILL)
    time.sleep(1.5)
    engine.start()
    names = engine.docker("ps", "--format", "{{.Names}}").stdout.split()
    assert sorted(names) == ["cat", "counter"]
    assert engine.docker("wait", "short").stdout.strip() == "7"
    assert engine.docker("exec", "cat", "echo", "in").stdout == "in\n"
    engine.docker("exec", "counter", "touch", "/end")
    assert engine.docker("wait", "counter").stdout.strip() == "33"
    *logged, last = engine.docker("logs", "counter").stdout.split()
    assert last == "end" and len(logged) >= 20
    assert logged == [str(number) for number in range(1, len(logged) + 1)]
    assert engine.docker("inspect", "gone", check=False).returncode == 1
    engine.docker("stop", "-t", "0", "cat")
    engine.docker("start", "cat")


def test_policies_and_removals_last(engine: NativeEngine) -> None:
    engine.docker("run", "-d", "--restart", "always", "--name", "ever", "busybox", "sleep", "600")
    engine.docker(
        "run", "-d", "--restart", "unless-stopped", "--name", "halt", "busybox", "sleep", "9"
    )
    engine.docker("stop", "-t", "0", "halt")
    engine.docker("create", "--name", "away", "busybox", "true")
    engine.docker("rm", "away")
    with closing(engine.client()) as client:
        pid = client.api.inspect_container("ever")["State"]["Pid"]
    engine.restart(kill=True)
    with closing(engine.client()) as client:
        assert client.api.inspect_container("ever")["State"]["Pid"] == pid
    rows = engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    assert sorted(rows) == ["ever running", "halt exited"]
