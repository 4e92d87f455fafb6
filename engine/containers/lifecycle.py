"""The acts on containers: start, stop, kill, restart, pause, rename, update, remove, wait.

Each container changes under its lock. A client that goes away doesn't stop what it began.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence

from engine.containers.container import Container, Ended
from engine.containers.neighbours import Neighbours
from engine.containers.record import Status
from engine.containers.restart import policy_of
from engine.containers.rootfs import Roots
from engine.containers.signals import parse_signal, stop_signal
from engine.containers.start import Starter
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.containers.views import views
from engine.containers.words import removal_refusal
from engine.database import DatabaseError
from engine.errors import BadRequest, Conflict, EngineError, NotFound, NotModified
from engine.runtime.bundle import Exit
from engine.runtime.running import Running

STOP_TIMEOUT = 10
_KILL_PATIENCE = 10.0
_log = logging.getLogger(__name__)


class Lifecycle:
    """What clients do to containers, and what follows when one ends."""

    def __init__(
        self, store: Store, roots: Roots, starter: Starter, neighbours: Neighbours, tasks: Tasks
    ) -> None:
        self._store = store
        self._roots = roots
        self._starter = starter
        self._neighbours = neighbours
        self._tasks = tasks
        self.closing = False
        # set by the one who joins the parts: health checks run through exec sessions
        self.health_start: Callable[[Container], None] = lambda container: None
        self.health_stop: Callable[[Container], None] = lambda container: None

    # -- start ---------------------------------------------------------------------------------

    async def start(self, reference: str) -> None:
        """Start a container. Raises NotModified when it runs, Conflict, EngineError."""
        container = self._store.get(reference)
        await self._tasks.finish(self._start(container, by_hand=True), f"start {container.id[:12]}")

    async def _start(self, container: Container, *, by_hand: bool) -> None:
        async with container.lock:
            if container.record.state.status is Status.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.live:
                raise NotModified("container is already running")
            if container.removing:
                raise Conflict("container is marked for removal and cannot be started")
            if by_hand:
                self._cancel_comeback(container)
                container.backoff.reset()
                container.record.state.restart_count = 0
            try:
                await self._starter.start(container)
            except BaseException:
                if container.record.auto_remove and not self.closing:
                    self._tasks.spawn(self._auto_remove(container), f"remove {container.id[:12]}")
                raise
            self._store.tell(container, "start")
            self.watch(container)

    def watch(self, container: Container) -> None:
        """Follow a container that runs: its end and its health."""
        assert container.running is not None
        self._tasks.spawn(self._supervise(container, container.running), container.id[:12])
        self.health_start(container)

    # -- the end of a run ----------------------------------------------------------------------

    async def _supervise(self, container: Container, running: Running) -> None:
        ended = await running.wait()
        async with container.lock:
            if container.running is running:
                await self._ended(container, ended)

    async def _ended(self, container: Container, ended: Exit) -> None:
        record, state = container.record, container.record.state
        self.health_stop(container)
        container.sandbox = None
        ran_for = max(0.0, (ended.finished_at_ns - state.started_at) / 1e9)
        by_client = state.manually_stopped or container.restarting_by_hand or self.closing
        policy = policy_of(record.host_config)
        again = policy.wants(ended.code, container.backoff.failures, stopped=by_client)
        state.status = Status.RESTARTING if again else Status.EXITED
        state.pid, state.exit_code = 0, ended.code
        state.oom_killed, state.finished_at = ended.oom_killed, ended.finished_at_ns
        delay = 0.0
        if again:
            delay = container.backoff.next(ran_for)
            state.restart_count += 1
        record.sandbox = None
        await self._clean_up(container)
        if ended.oom_killed:
            self._store.tell(container, "oom")
        self._store.tell(container, "die", execDuration=str(int(ran_for)), exitCode=str(ended.code))
        container.tell_exit(Ended(ended.code))
        if again:
            container.comeback = self._tasks.spawn(
                self._come_back(container, delay), f"restart {container.id[:12]}"
            )
        elif record.auto_remove and not container.restarting_by_hand:
            self._tasks.spawn(self._auto_remove(container), f"remove {container.id[:12]}")

    async def _clean_up(self, container: Container) -> None:
        container.running = None
        results = await asyncio.gather(
            self._neighbours.runtime.delete(container.id),
            self._neighbours.networks.close(container.id),
            self._store.save(container, durable=not container.record.auto_remove),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                _log.error("cleaning up %s: %s", container.id[:12], result, exc_info=result)
        self._starter.close_roots(container)
        await self._roots.unmount_volumes(container.record)

    async def _come_back(self, container: Container, delay: float) -> None:
        await asyncio.sleep(delay)
        container.comeback = None
        try:
            await self._start(container, by_hand=False)
        except (NotModified, Conflict):
            return
        except EngineError as error:
            _log.warning("restart of %s: %s", container.id[:12], error)

    def _cancel_comeback(self, container: Container) -> None:
        if container.comeback is not None:
            container.comeback.cancel()
            container.comeback = None

    async def _auto_remove(self, container: Container) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await self._remove(container, force=True, volumes=True)

    # -- stop, kill, restart -------------------------------------------------------------------

    async def stop(
        self, reference: str, *, signal_name: str = "", timeout: int | None = None
    ) -> None:
        """Ask a container to end, then make it. Raises NotModified when it doesn't run."""
        container = self._store.get(reference)
        async with container.lock:  # a start under way is stopped once it's through
            if not container.running_word:
                raise NotModified("container is already stopped")
        try:
            number = parse_signal(signal_name) if signal_name else 0
        except BadRequest as error:
            raise BadRequest(f"cannot stop container: {reference}: {error.message}") from error
        await self._tasks.finish(
            self._stop(container, number, timeout), f"stop {container.id[:12]}"
        )

    async def _stop(
        self,
        container: Container,
        number: int = 0,
        timeout: int | None = None,
        *,
        tell: bool = True,
    ) -> None:
        state = container.record.state
        if await self._stop_comeback(container):
            return
        if not container.live:
            return
        state.manually_stopped = True
        await self._store.save_state(container)
        if timeout is None:
            asked = container.record.config.get("StopTimeout")
            timeout = STOP_TIMEOUT if asked is None else asked
        number = number or stop_signal(container.record.config)
        ended = self.next_exit(container)
        await self._signal(container, number)
        try:
            await asyncio.wait_for(asyncio.shield(ended), None if timeout < 0 else timeout)
        except TimeoutError:
            await self._signal(container, signal.SIGKILL)
            await self._end_or_complain(container, ended)
        if tell:
            self._store.tell(container, "stop")

    async def _stop_comeback(self, container: Container) -> bool:
        """End the pause before a restart; whether there was one."""
        if container.record.state.status is not Status.RESTARTING:
            return False
        async with container.lock:
            state = container.record.state
            if state.status is not Status.RESTARTING:
                return False
            self._cancel_comeback(container)
            state.status, state.manually_stopped = Status.EXITED, True
            await self._store.save_state(container)
        container.tell_exit(Ended(state.exit_code))
        return True

    async def _end_or_complain(self, container: Container, ended: asyncio.Future[Ended]) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(ended), _KILL_PATIENCE)
        except TimeoutError:
            raise EngineError(
                f"tried to kill container {container.id}, but did not receive an exit event: "
                "a process of it hangs in the kernel"
            ) from None

    async def _signal(self, container: Container, number: int) -> None:
        """Signal the first process, thawed first if it must be able to die."""
        runtime = self._neighbours.runtime
        with contextlib.suppress(NotFound):
            await runtime.kill(container.id, number)
        if container.record.state.status is Status.PAUSED and number == signal.SIGKILL:
            with contextlib.suppress(EngineError):
                await runtime.resume(container.id)
        self._store.tell(container, "kill", signal=str(int(number)))

    async def kill(self, reference: str, signal_name: str = "") -> None:
        """Send a signal (SIGKILL by default). Raises Conflict when it doesn't run."""
        try:
            number = parse_signal(signal_name) if signal_name else int(signal.SIGKILL)
            container = self._store.get(reference)
        except (BadRequest, NotFound) as error:
            raise type(error)(f"cannot kill container: {reference}: {error.message}") from error
        if not container.live:
            raise Conflict(
                f"cannot kill container: {reference}: container {container.id} is not running"
            )
        await self._tasks.finish(self._kill(container, number), f"kill {container.id[:12]}")

    async def _kill(self, container: Container, number: int) -> None:
        state = container.record.state
        ends = number in (signal.SIGKILL, stop_signal(container.record.config))
        if ends:
            state.manually_stopped = True
            await self._store.save_state(container)
        ended = self.next_exit(container)
        await self._signal(container, number)
        if number == signal.SIGKILL:
            await self._end_or_complain(container, ended)
            return
        container.exits.discard(ended)
        hears = ends or not container.record.config.get("StopSignal")
        if hears and state.status is Status.PAUSED:  # as with dockerd
            with contextlib.suppress(EngineError):
                await self.unpause(container.id)

    async def restart(
        self, reference: str, *, signal_name: str = "", timeout: int | None = None
    ) -> None:
        """Stop (if it runs) and start again."""
        container = self._store.get(reference)
        number = parse_signal(signal_name) if signal_name else 0
        await self._tasks.finish(
            self._restart(container, number, timeout), f"restart {container.id[:12]}"
        )

    async def _restart(self, container: Container, number: int, timeout: int | None) -> None:
        container.restarting_by_hand = True
        try:
            if container.running_word:
                await self._stop(container, number, timeout)
            with contextlib.suppress(NotModified):
                await self._start(container, by_hand=True)
        finally:
            container.restarting_by_hand = False
        self._store.tell(container, "restart")

    # -- pause ---------------------------------------------------------------------------------

    async def pause(self, reference: str) -> None:
        """Freeze every process. Raises Conflict."""
        container = self._store.get(reference)
        await self._tasks.finish(self._pause(container), "pause")

    async def _pause(self, container: Container) -> None:
        async with container.lock:
            state = container.record.state
            if state.status is Status.PAUSED:
                raise Conflict(f"Container {container.id} is already paused")
            if state.status is Status.RESTARTING:
                raise Conflict(
                    f"container {container.id} is restarting, wait until the container is running"
                )
            container.require_live()
            await self._neighbours.runtime.pause(container.id)
            state.status = Status.PAUSED
            if container.health is not None:
                container.health.status = "unhealthy"  # nobody probes it, as dockerd puts it
            await self._store.save(container)
        self._store.tell(container, "pause")

    async def unpause(self, reference: str) -> None:
        """Thaw it. Raises Conflict when it isn't paused."""
        container = self._store.get(reference)
        await self._tasks.finish(self._unpause(container), "unpause")

    async def _unpause(self, container: Container) -> None:
        async with container.lock:
            if container.record.state.status is not Status.PAUSED:
                raise EngineError(f"Container {container.id} is not paused")
            await self._neighbours.runtime.resume(container.id)
            container.record.state.status = Status.RUNNING
            await self._store.save(container)
        self._store.tell(container, "unpause")

    # -- wait ----------------------------------------------------------------------------------

    def next_exit(self, container: Container) -> asyncio.Future[Ended]:
        """A future of the end of this run (or of the next one)."""
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        container.exits.add(future)
        return future

    def wait(self, reference: str, condition: str = "") -> asyncio.Future[Ended]:
        """The end that `condition` speaks of. Raises NotFound, BadRequest at once."""
        container = self._store.get(reference)
        state = container.record.state
        if condition not in ("", "not-running", "next-exit", "removed"):
            raise BadRequest(f'invalid condition: "{condition}"')
        if condition == "removed":
            future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
            container.removals.add(future)
            return future
        if condition == "next-exit" or container.running_word:
            return self.next_exit(container)
        now: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        now.set_result(Ended(state.exit_code, state.error))
        return now

    # -- remove --------------------------------------------------------------------------------

    async def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and, with `volumes`, its anonymous ones. Raises Conflict."""
        container = self._store.get(reference)
        await self._tasks.finish(
            self._remove(container, force=force, volumes=volumes, reference=reference),
            f"remove {container.id[:12]}",
        )

    async def _remove(
        self, container: Container, *, force: bool, volumes: bool, reference: str = ""
    ) -> None:
        if container.removing:
            raise Conflict(f"removal of container {container.name} is already in progress")
        if not force and (refusal := removal_refusal(container.record, reference)):
            raise Conflict(refusal)
        container.removing = True
        if force:
            for cut_short in tuple(container.visits):
                cut_short()
        try:
            await self._stop_comeback(container)
            if container.live:
                ended = self.next_exit(container)
                container.record.state.manually_stopped = True
                await self._signal(container, signal.SIGKILL)
                await self._end_or_complain(container, ended)
            async with container.lock:
                await self._erase(container)
        except BaseException:
            container.removing = False
            raise
        if volumes:
            await self._remove_volumes(container)
        self._store.tell(container, "destroy")
        last = Ended(container.record.state.exit_code)
        container.tell_exit(last)  # of one that never ran: there's no next exit any more
        container.tell_removal(last)

    async def _erase(self, container: Container) -> None:
        container.record.state.status = Status.REMOVING
        # any half of this is finished at the next start of the engine: files without a record go,
        # and so does a record without its files
        remove = self._neighbours.snapshots.remove
        files = asyncio.gather(
            remove(container.id), *(remove(key) for key, _ in views(container.record))
        )
        try:
            await self._store.forget(container)
        except DatabaseError:  # on a full disk the files make the room to write down that they go
            await files
            await self._store.forget(container)
        finally:
            await files
        self._tasks.spawn(self._clear_folder(container), f"clear {container.id[:12]}")

    async def _clear_folder(self, container: Container) -> None:
        """Delete the container's folder once nothing is mounted in it."""
        if container.unmounting is not None:
            await container.unmounting
        await asyncio.to_thread(self._roots.wipe, container.id)

    async def _remove_volumes(self, container: Container) -> None:
        for point in container.record.mounts:
            if point.type == "volume" and point.anonymous:
                with contextlib.suppress(EngineError):
                    await self._neighbours.volumes.remove(point.name)

    async def stop_all(self, timeout: int) -> None:
        """Stop every running container; when the machine goes down."""
        self.closing = True
        await asyncio.gather(
            *(self._stop(one, timeout=timeout, tell=False) for one in self._store if one.live),
            return_exceptions=True,
        )

    def restarts_at_boot(self) -> Sequence[Container]:
        """The containers that their policy wants running though they aren't."""
        return [
            one
            for one in self._store
            if not one.live
            and policy_of(one.record.host_config).wants_at_boot(
                one.record.state.exit_code,
                one.record.state.restart_count,
                stopped=one.record.state.manually_stopped,
            )
            and one.record.state.started_at
        ]

    async def boot(self, container: Container) -> None:
        """Start a container at the engine's start; failures are logged."""
        try:
            await self._start(container, by_hand=False)
        except EngineError as error:
            _log.warning("start of %s: %s", container.name, error)
