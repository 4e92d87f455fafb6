"""Docker's statistics from the files of either cgroup version."""

import os

import pytest

from engine.linux import cgroups
from engine.runtime import stats

V2 = {
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\n"
    "throttled_usec 7\n",
    "memory.current": "4096\n",
    "memory.max": "max\n",
    "memory.stat": "anon 100\ninactive_file 50\n",
    "memory.events": "low 0\noom 0\noom_kill 2\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
}
V1 = {
    "cpuacct/cpuacct.usage": "5000\n",
    "cpuacct/cpuacct.usage_percpu": "2000 3000 \n",
    "cpuacct/cpuacct.stat": "user 2\nsystem 1\n",
    "cpu/cpu.stat": "nr_periods 4\nnr_throttled 3\nthrottled_time 7\n",
    "memory/memory.usage_in_bytes": "4096\n",
    "memory/memory.max_usage_in_bytes": "8192\n",
    "memory/memory.limit_in_bytes": "1048576\n",
    "memory/memory.failcnt": "1\n",
    "memory/memory.stat": "total_inactive_file 50\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "pids/pids.current": "3\n",
    "pids/pids.max": "20\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\nTotal 30\n",
}


@pytest.fixture
def v2(tmp_path, monkeypatch):
    (tmp_path / "cove/a").mkdir(parents=True)
    for name, text in V2.items():
        (tmp_path / "cove/a" / name).write_text(text)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "is_v2", lambda: True)


@pytest.fixture
def v1(tmp_path, monkeypatch):
    for name, text in V1.items():
        controller, file = name.split("/")
        folder = tmp_path / controller / "cove/a"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "is_v2", lambda: False)


def test_version_2(v2):
    assert stats._cpu("/cove/a") == {
        "cpu_usage": {
            "total_usage": 30000,
            "usage_in_kernelmode": 10000,
            "usage_in_usermode": 20000,
        },
        "throttling_data": {"periods": 4, "throttled_periods": 3, "throttled_time": 7000},
    }
    memory = stats._memory("/cove/a")
    assert memory["usage"] == 4096
    assert memory["stats"] == {"anon": 100, "inactive_file": 50}
    assert memory["limit"] == stats.memory_total()
    assert stats._pids("/cove/a") == {"current": 3, "limit": 2**64 - 1}
    assert stats._block_io("/cove/a")["io_service_bytes_recursive"] == [
        {"major": 8, "minor": 0, "op": "read", "value": 10},
        {"major": 8, "minor": 0, "op": "write", "value": 20},
    ]
    assert cgroups.oom_kills("/cove/a") == 2


def test_version_1(v1):
    cpu = stats._cpu("/cove/a")
    assert cpu["cpu_usage"]["total_usage"] == 5000
    assert cpu["cpu_usage"]["percpu_usage"] == [2000, 3000]
    assert cpu["throttling_data"]["throttled_time"] == 7
    memory = stats._memory("/cove/a")
    assert (memory["max_usage"], memory["limit"], memory["failcnt"]) == (8192, 1048576, 1)
    assert stats._pids("/cove/a") == {"current": 3, "limit": 20}
    assert len(stats._block_io("/cove/a")["io_service_bytes_recursive"]) == 2
    assert cgroups.oom_kills("/cove/a") == 1


def test_a_group_that_is_gone_counts_nothing(v2):
    assert stats._memory("/cove/b")["usage"] == 0
    assert stats._cpu("/cove/b")["cpu_usage"]["total_usage"] == 0
    assert cgroups.oom_kills("/cove/b") == 0


def test_the_machine():
    found = stats._system()
    assert found["online_cpus"] >= 1 and found["system_cpu_usage"] > 0


def test_own_network_is_left_out():
    assert stats._networks(os.getpid()) is None
    with pytest.raises(ProcessLookupError):
        stats._networks(2**22 + 1)


def test_the_group_of_a_process_that_moved_below(monkeypatch):
    monkeypatch.setattr(cgroups, "path_of", lambda pid: "/cove/abc/init.scope")
    assert stats.group_of("abc", 1) == "/cove/abc"
    monkeypatch.setattr(cgroups, "path_of", lambda pid: "/elsewhere")
    assert stats.group_of("abc", 1) == "/elsewhere"
