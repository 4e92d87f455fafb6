"""The machine's states, with a program in QEMU's place that plays a guest."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from desktop.failure import Failure
from desktop.paths import Home
from desktop.settings import Settings
from desktop.vm import accel, boot, machine, prepare
from desktop.vm.image import Image
from desktop.vm.machine import Machine
from desktop.vm.states import Progress, State

SETTINGS = Settings(cpus=1, memory_mib=512, disk_gib=4)
BOOTS = "\n".join(
    f"line:cove: {name} ok" for name in ("kernel", "disk", "network", "sshd", "engine")
)


class FakeLink:
    """A way into the guest that is there at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers = True

    async def open(self, port: int) -> None:
        self.calls.append(f"open {port}")

    async def engine_answers(self) -> bool:
        return self.answers

    async def close(self) -> None:
        self.calls.append("close")


class Bench:
    """A machine whose QEMU is the fake one."""

    def __init__(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.link = FakeLink()
        self.states: list[State] = []
        self.done: list[int] = []
        self.machine = self.make()
        self._patch = monkeypatch

    def make(self) -> Machine:
        return Machine(self.home, self.link, self._changed)

    def _changed(self) -> None:
        state = self.machine.state
        if not self.states or self.states[-1] is not state:
            self.states.append(state)
            steps = self.machine.readiness.requirements if self.machine.readiness else ()
            self.done.append(sum(each.state is Progress.DONE for each in steps))

    def play(self, script: str, again: str | None = None) -> None:
        self._patch.setenv("COVE_FAKE", script)
        if again is not None:
            self._patch.setenv("COVE_FAKE_AGAIN", again)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    program = tmp_path / "qemu-system-fake"
    fake = Path(__file__).with_name("fake_qemu.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -SE "{fake}" "$@"\n')
    program.chmod(0o755)
    home = Home(tmp_path / "h")

    def prepared(home: Home, settings: Settings) -> prepare.Prepared:
        home.create()
        image = Image(tmp_path, "x86_64", "quiet")
        return prepare.Prepared(str(program), "fake 1", image, settings, (), {}, True)

    monkeypatch.setattr(machine, "prepare", prepared)
    monkeypatch.setenv("COVE_ACCEL", "tcg")
    made = Bench(home, monkeypatch)
    yield made
    if made.machine.qemu is not None and made.machine.qemu.outcome is None:
        await made.machine.qemu.kill("the test ended")
    await made.machine.let_go()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it didn't happen within 5 s")


async def test_from_stopped_to_running_and_back(bench: Bench) -> None:
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    assert bench.machine.port == 40022
    assert bench.machine.boot_seconds is not None
    assert bench.link.calls == ["open 40022"]
    await bench.machine.stop()
    await bench.machine.stop()
    assert bench.states == [
        State.PREPARING,
        State.BOOTING,
        State.WAITING,
        State.RUNNING,
        State.STOPPING,
        State.STOPPED,
    ]
    assert bench.machine.notices == []
    assert not bench.home.machine_record.exists()


async def test_a_second_start_shows_nothing_of_the_first(bench: Bench) -> None:
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    await bench.machine.stop()
    await bench.machine.start(SETTINGS)
    shown = [
        done
        for state, done in zip(bench.states, bench.done, strict=True)
        if state is State.PREPARING
    ]
    assert shown == [0, 0]


async def test_operations_are_guarded(bench: Bench) -> None:
    with pytest.raises(Failure, match="can't be paused now") as caught:
        await bench.machine.pause()
    assert "stopped" in caught.value.why
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    with pytest.raises(Failure, match="can't be started now"):
        await bench.machine.start(SETTINGS)
    await bench.machine.pause()
    assert bench.machine.state is State.PAUSED
    with pytest.raises(Failure, match="can't be paused now"):
        await bench.machine.pause()
    await bench.machine.resume()
    await bench.machine.resume()
    assert bench.machine.state is State.RUNNING


async def test_a_paused_machine_can_be_stopped(bench: Bench) -> None:
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    await bench.machine.pause()
    await bench.machine.stop()
    assert bench.machine.state is State.STOPPED


async def test_a_guest_that_says_why_it_fails(bench: Bench) -> None:
    bench.play("line:cove: kernel ok\nline:cove: disk failed no such disk | make one")
    with pytest.raises(Failure, match="Attach the data disk") as caught:
        await bench.machine.start(SETTINGS)
    assert (caught.value.why, caught.value.hint) == ("no such disk", "make one")
    assert bench.machine.state is State.FAILED
    assert bench.machine.qemu is None
    assert bench.machine.failure is caught.value


async def test_qemu_that_refuses_its_arguments(bench: Bench) -> None:
    bench.play("stderr:qemu-system-x86_64: no such machine\nexit:1")
    with pytest.raises(Failure, match="no such machine") as caught:
        await bench.machine.start(SETTINGS)
    assert "code 1" in caught.value.why


async def test_a_kernel_that_crashes_is_started_again(bench: Bench) -> None:
    bench.play("line:Oops: int3: 0000\nwait:0.05\nexit:0", again=BOOTS)
    await bench.machine.start(SETTINGS)
    assert bench.machine.state is State.RUNNING
    assert "started again" in bench.machine.notices[0]


async def test_a_kernel_that_crashes_at_each_start_is_told(bench: Bench) -> None:
    bench.play("line:Kernel panic - not syncing: x\nwait:0.05\nexit:0")
    with pytest.raises(Failure, match="Kernel panic"):
        await bench.machine.start(SETTINGS)
    assert len(bench.machine.notices) == machine.KERNEL_CRASHES


async def test_kvm_that_dies_gives_way_to_emulation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_ACCEL", "")
    monkeypatch.setattr(accel, "probe_kvm", lambda: "")
    monkeypatch.setattr(accel.sys, "platform", "linux")
    bench.play("stderr:qemu: failed to set MSR 0x10a\nexit:1", again=BOOTS)
    await bench.machine.start(SETTINGS)
    assert bench.machine.choice is not None and bench.machine.choice.accel == "tcg"
    assert "MSR" in bench.machine.notices[0]
    assert "MSR" in (accel.recall(bench.home.accelerator_verdict, "fake 1") or "")


async def test_kvm_that_runs_nothing_gives_way_to_emulation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_ACCEL", "")
    monkeypatch.setattr(accel, "probe_kvm", lambda: "")
    monkeypatch.setattr(boot, "SILENCE_SECONDS", 0.3)
    bench.play("wait:30", again=BOOTS)
    await bench.machine.start(SETTINGS)
    assert bench.machine.state is State.RUNNING
    assert "KVM ran no kernel here" in bench.machine.notices[0]


async def test_a_step_that_takes_too_long_tells_the_last_lines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(boot.ready.PATIENCE, "disk", 0.3)
    bench.play("line:cove: kernel ok\nline:cove: disk: checking")
    with pytest.raises(Failure, match="cove: disk: checking"):
        await bench.machine.start(SETTINGS)


async def test_stop_during_the_boot_ends_it(bench: Bench) -> None:
    bench.play("wait:30")
    starting = asyncio.create_task(bench.machine.start(SETTINGS))
    await until(lambda: bench.machine.state is State.BOOTING and bench.machine.qemu is not None)
    await bench.machine.stop()
    with pytest.raises(Failure, match="stopped meanwhile"):
        await starting
    assert bench.machine.state is State.STOPPED


async def test_a_guest_that_ignores_the_button_is_killed_and_that_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_FAKE_DEAF", "1")
    monkeypatch.setattr(machine, "POWERDOWN_SECONDS", 0.2)
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    await bench.machine.stop()
    assert bench.machine.state is State.STOPPED
    assert "didn't power off" in bench.machine.notices[0]


async def test_qemu_that_is_killed_is_a_failure_with_its_signal(bench: Bench) -> None:
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    assert bench.machine.qemu is not None
    os.kill(bench.machine.qemu.pid, signal.SIGKILL)
    await until(lambda: bench.machine.state is State.FAILED)
    assert bench.machine.failure is not None
    assert "SIGKILL" in bench.machine.failure.why
    await bench.machine.start(SETTINGS)
    assert bench.machine.state is State.RUNNING


async def test_a_full_disk_of_the_host_pauses_the_vm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_FAKE_FULL", "1")
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    await asyncio.sleep(0)  # the watcher begins to listen
    assert bench.machine.qemu is not None
    await bench.machine.qemu.execute("stop")  # the fake QEMU then tells of a full disk
    await until(lambda: bench.machine.state is State.PAUSED)
    assert "disk is full" in bench.machine.notices[0]
    usage = shutil.disk_usage(bench.home.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(Failure, match="no room"):
        await bench.machine.resume()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 40))
    await bench.machine.resume()
    assert bench.machine.state is State.RUNNING


async def test_another_agent_takes_over(bench: Bench) -> None:
    bench.play(BOOTS)
    await bench.machine.start(SETTINGS)
    first = bench.machine
    assert first.qemu is not None
    pid, process = first.qemu.pid, first.qemu._process
    assert process is not None
    await first.let_go()
    bench.machine = bench.make()
    assert await bench.machine.adopt()
    assert bench.machine.state is State.RUNNING
    assert bench.machine.settings == SETTINGS
    assert bench.machine.qemu is not None and bench.machine.qemu.pid == pid
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    await until(lambda: bench.machine.state is State.FAILED)


async def test_a_machine_that_is_gone_cant_be_taken_over(bench: Bench) -> None:
    bench.home.create()
    assert not await bench.machine.adopt()
    bench.home.machine_record.write_text('{"pid": 1, "began": "not this one"}')
    assert not await bench.machine.adopt()
    assert bench.machine.state is State.STOPPED
