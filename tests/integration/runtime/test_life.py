"""create, start, wait, delete; failures; limits; a second engine taking over."""

import asyncio
import json
import signal
import sys

import pytest

from engine.errors import NotFound
from engine.linux import cgroups, process, spawn
from engine.runtime import stats, top
from engine.runtime.bundle import RuntimeFailure
from engine.runtime.resources import Resources
from engine.runtime.runtime import Runtime
from engine.runtime.spec import Rlimit
from engine.runtime.users import User

pytestmark = pytest.mark.root


async def test_output_and_exit_code(bench):
    code, out, err = await bench.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (code, out, err) == (3, "out\n", "err\n")


async def test_the_second_create_uses_the_kept_filter(bench):
    for _ in range(2):
        code, out, _ = await bench.run("grep", "Seccomp:", "/proc/self/status")
        assert (code, out.split()) == (0, ["Seccomp:", "2"])
    assert len(list((bench.folder / "run/seccomp").iterdir())) == 1
    code, _, err = await bench.run("unshare", "-U", "true")
    assert code != 0 and "not permitted" in err


@pytest.mark.parametrize(
    ("program", "words", "code"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH', 127),
        ("/nosuch", "stat /nosuch: no such file or directory", 127),
        ("/etc/passwd", "permission denied", 126),
        ("/etc", "is a directory", 126),
    ],
)
async def test_failures_of_create(bench, program, words, code):
    bundle = bench.bundle(program)
    with pytest.raises(RuntimeFailure) as caught:
        await bench.runtime.create(bundle)
    assert words in caught.value.message
    assert caught.value.message.startswith("failed to create task for container: ")
    assert caught.value.exit_code == code
    assert not list((bench.folder / "run/bundles").iterdir())


async def test_hostname_user_cwd_and_environment(bench):
    script = "hostname; id -u; id -G; pwd; echo $A"
    wishes = {
        "hostname": "box",
        "user": User(1000, 1000, (5,)),
        "cwd": "/tmp",
        "env": ("PATH=/bin", "A=1"),
    }
    code, out, _ = await bench.run("sh", "-c", script, **wishes)
    assert (code, out.split("\n")[:5]) == (0, ["box", "1000", "1000 5", "/tmp", "1"])


async def test_readonly_privileged_and_init(bench):
    assert (await bench.run("touch", "/x", readonly_rootfs=True))[0] == 1
    code, out, _ = await bench.run("grep", "CapEff", "/proc/self/status", privileged=True)
    assert code == 0 and int(out.split()[1], 16) & 1 << 21  # CAP_SYS_ADMIN
    script = "cat /proc/1/cmdline"
    code, out, _ = await bench.run("sh", "-c", script, init_path="/usr/bin/catatonit")
    assert code == 0 and out.startswith("/sbin/docker-init")


async def test_rlimits_above_ours_are_lowered(bench):
    limit = Rlimit("nofile", 1 << 29, 1 << 29)
    code, out, _ = await bench.run("sh", "-c", "ulimit -n", rlimits=(limit,))
    assert code == 0 and int(out) > 0


async def test_signals(bench):
    bundle, running = await bench.start("sleep", "60")
    await bench.runtime.kill(bundle.id, signal.SIGKILL)
    async with asyncio.timeout(10):
        ended = await running.wait()
    assert (ended.code, ended.oom_killed) == (137, False)
    with pytest.raises(NotFound):
        await bench.runtime.kill(bundle.id, signal.SIGTERM)


async def test_delete_ends_what_runs_and_leaves_nothing(bench):
    bundle, running = await bench.start("sleep", "60")
    await bench.runtime.pause(bundle.id)
    async with asyncio.timeout(10):
        await bench.runtime.delete(bundle.id)
    assert running.ended
    assert not process.alive(running.pid)
    assert not any(cgroups.folder(running.cgroup, name).exists() for name in ("memory", "pids"))
    await bench.runtime.delete(bundle.id)


async def test_pause_and_resume(bench):
    bundle, running = await bench.start("sh", "-c", "while :; do echo; done", log=False)
    await bench.runtime.pause(bundle.id)
    before = process._stat_fields(running.pid)[11]
    await asyncio.sleep(0.1)
    assert process._stat_fields(running.pid)[11] == before
    await bench.runtime.resume(bundle.id)
    await bench.runtime.kill(bundle.id, signal.SIGKILL)
    async with asyncio.timeout(10):
        await running.wait()


async def test_out_of_memory_is_told(bench):
    limits = Resources(memory=16 << 20, memory_swap=16 << 20)
    bundle, running = await bench.start(
        "sh", "-c", "x=a; while :; do x=$x$x; done", resources=limits
    )
    async with asyncio.timeout(30):
        ended = await running.wait()
    assert ended.oom_killed and ended.code == 137
    assert bundle.id


async def test_update_changes_limits(bench):
    bundle, running = await bench.start(
        "sleep", "60", resources=Resources(memory=64 << 20, pids_limit=30)
    )
    await bench.runtime.update(bundle.id, Resources(memory=128 << 20, pids_limit=-1))
    found = await stats.read(bundle.id, running.pid)
    assert found["memory_stats"]["limit"] == 128 << 20
    assert found["pids_stats"] == {"current": 1, "limit": 2**64 - 1}


async def test_stats_and_top(bench):
    bundle, running = await bench.start(
        "sh", "-c", "sleep 61 & read x; echo; sleep 62; true", stdin=True
    )
    streams = await running.attach()
    async with asyncio.timeout(10):
        await streams.write(b"x\n")
        await anext(aiter(streams))
    streams.close()
    for _ in range(500):  # the shell's child may not be `sleep` yet
        titles, rows = await top.top(running.pid, "-o pid,comm,args")
        if "sleep 61" in {row[2] for row in rows}:
            break
        await asyncio.sleep(0.01)
    assert titles == ["PID", "COMMAND", "COMMAND"]
    assert {row[2] for row in rows} >= {"sleep 61"}
    found = await stats.read(bundle.id, running.pid)
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert found["cpu_stats"]["system_cpu_usage"] > 0
    assert found["memory_stats"]["usage"] > 0
    assert found["networks"] == {}
    json.dumps(found)


async def test_another_engine_adopts(bench):
    bundle, running = await bench.start("sh", "-c", "read x; echo got $x; exit 5", stdin=True)
    await bench.runtime.close()
    bench.runtime = Runtime(bench.folder / "run")
    adopted = await bench.runtime.adopt(bundle)
    assert adopted is not None and adopted.pid == running.pid
    streams = await adopted.attach()
    await streams.write(b"it\n")
    async with asyncio.timeout(10):
        assert [item async for item in streams] == [(1, b"got it\n")]
        assert (await adopted.wait()).code == 5
    await bench.runtime.close()
    bench.runtime = Runtime(bench.folder / "run")
    late = await bench.runtime.adopt(bundle)
    assert late is not None and (await late.wait()).code == 5
    await bench.runtime.delete(bundle.id)
    assert await bench.runtime.adopt(bundle) is None


async def test_a_container_outlives_the_engine_process(bench):
    bundle = bench.bundle("sh", "-c", "read x; exit 9", stdin=True)
    program = (
        "import asyncio, pickle, sys, os\n"
        "from pathlib import Path\n"
        "from engine.runtime.runtime import Runtime\n"
        "async def main():\n"
        "    bundle = pickle.load(open(sys.argv[1], 'rb'))\n"
        "    runtime = Runtime(Path(sys.argv[2]))\n"
        "    await runtime.create(bundle)\n"
        "    await runtime.start(bundle.id)\n"
        "    os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    import pickle

    (bench.folder / "bundle").write_bytes(pickle.dumps(bundle))
    argv = [sys.executable, "-c", program, str(bench.folder / "bundle"), str(bench.folder / "run")]
    code, output = await spawn.run(argv)
    assert (code, output) == (0, "")
    running = await bench.runtime.adopt(bundle)
    assert running is not None and process.alive(running.pid)
    streams = await running.attach()
    await streams.write(b"x\n")
    async with asyncio.timeout(10):
        assert (await running.wait()).code == 9
    streams.close()


async def test_a_killed_conmon_takes_its_container_along(bench):
    bundle, running = await bench.start("sleep", "60")
    record = json.loads(running.folder.record.read_text())
    process.send_signal(record["conmon"], signal.SIGKILL)
    async with asyncio.timeout(10):
        assert (await running.wait()).code == 137
        await bench.runtime.delete(bundle.id)
    assert not process.alive(running.pid, record["pid_started"])
