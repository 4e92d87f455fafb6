"""Exec sessions: a second process in a running container, from its creation to its exit code."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.containers.attach import AttachOptions, Client, carry
from engine.containers.container import Container
from engine.containers.detach import parse_keys
from engine.containers.document import check_exec
from engine.containers.names import new_id
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.record import Json, Status
from engine.containers.rootfs import Roots
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.errors import BadRequest, Conflict, EngineError, NotFound
from engine.linux import userns
from engine.runtime import users
from engine.runtime.bundle import RuntimeFailure
from engine.runtime.execs import ExecRunning
from engine.runtime.process import exec_process
from engine.runtime.users import User
from engine.values import dataclass, field

# An ended session can be inspected for this long, as with dockerd.
_KEPT_SECONDS = 300.0
_PROBE_OUTPUT = 4097  # one more than is shown: whether there was more
_START_SECONDS = 10.0
_FAILED = "OCI runtime exec failed: exec failed: "


@dataclass(frozen=True)
class ExecRequest:
    """What `POST /containers/{id}/exec` asks for."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    folder: str = ""
    terminal: bool = False
    privileged: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    keys: str = ""
    console_size: tuple[int, int] | None = None

    @property
    def command(self) -> str:
        """The words of an event; dockerd leaves a space after a command without arguments."""
        return f"{self.args[0]} {' '.join(self.args[1:])}"

    @classmethod
    def parse(cls, body: Json) -> "ExecRequest":
        """From the request's document. Raises BadRequest."""
        check_exec(body)
        args = body.get("Cmd") or ()
        if not args:
            raise BadRequest("No exec command specified")
        size = body.get("ConsoleSize") or None
        return cls(
            args=tuple(args),
            env=tuple(body.get("Env") or ()),
            user=body.get("User") or "",
            folder=body.get("WorkingDir") or "",
            terminal=bool(body.get("Tty")),
            privileged=bool(body.get("Privileged")),
            stdin=bool(body.get("AttachStdin")),
            stdout=bool(body.get("AttachStdout")),
            stderr=bool(body.get("AttachStderr")),
            keys=body.get("DetachKeys") or "",
            console_size=(size[0], size[1]) if size and all(size) else None,
        )


@dataclass
class Session:
    """One exec; `exit_code` is None until it ended."""

    id: str
    container: Container
    request: ExecRequest
    keys: bytes
    running: ExecRunning | None = None
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    ended_at: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def live(self) -> bool:
        return self.running is not None and self.exit_code is None

    def to_api(self) -> Json:
        """The document of `GET /exec/{id}/json`."""
        request = self.request
        config: Json = {
            "tty": request.terminal,
            "entrypoint": request.args[0],
            "arguments": list(request.args[1:]),
            "privileged": request.privileged,
        }
        if request.user:
            config["user"] = request.user
        return {
            "ID": self.id,
            "Running": self.live,
            "ExitCode": self.exit_code,
            "ProcessConfig": config,
            "OpenStdin": request.stdin,
            "OpenStderr": request.stderr,
            "OpenStdout": request.stdout,
            "CanRemove": False,
            "ContainerID": self.container.id,
            # the bytes that the words stand for, as Go writes them into JSON
            "DetachKeys": base64.b64encode(self.keys).decode() if request.keys else "",
            "Pid": self.pid,
        }


class Execs:
    """All sessions of the engine; they don't outlive it."""

    def __init__(
        self, store: Store, roots: Roots, neighbours: Neighbours, settings: Settings, tasks: Tasks
    ) -> None:
        self._store = store
        self._roots = roots
        self._runtime = neighbours.runtime
        self._settings = settings
        self._tasks = tasks
        self._sessions: dict[str, Session] = {}

    def get(self, id: str) -> Session:
        """The session with this id. Raises NotFound, Conflict when its container is gone."""
        session = self._sessions.get(id)
        if session is None:
            raise NotFound(f"No such exec instance: {id}")
        return session

    async def create(self, reference: str, body: Json) -> str:
        """Prepare a session and return its id.

        Raises Conflict when the container can't run it, BadRequest when it doesn't know the user.
        """
        container = self._store.get(reference)
        request = ExecRequest.parse(body)
        _require_running(container, reference)
        try:
            keys = parse_keys(request.keys)
        except BadRequest as error:
            raise EngineError(f"Invalid escape keys ({request.keys}) provided") from error
        if request.user:
            await asyncio.to_thread(self._user, container, request)
        self._forget_old()
        session = Session(new_id(), container, request, keys)
        self._sessions[session.id] = session
        container.exec_ids.add(session.id)
        self._tell(session, f"exec_create: {request.command}")
        return session.id

    def _forget_old(self) -> None:
        limit = time.monotonic() - _KEPT_SECONDS
        for id, session in list(self._sessions.items()):
            old = session.ended_at and session.ended_at < limit
            if old or session.container.removing:
                del self._sessions[id]

    def _tell(self, session: Session, action: str, **attributes: str) -> None:
        self._store.tell(session.container, action, execID=session.id, **attributes)

    def inspect(self, id: str) -> Json:
        """The document of one session."""
        return self.get(id).to_api()

    async def start(self, id: str, *, console_size: tuple[int, int] | None = None) -> None:
        """Run the process. Raises what `check` raises, RuntimeFailure."""
        self.check(id)
        session = self.get(id)
        session.started = True
        await self._tasks.finish(self._run(session, console_size), f"exec {id[:12]}")

    def check(self, id: str) -> None:
        """Raises NotFound, Conflict when it ran before or its container doesn't run."""
        session = self.get(id)
        if session.started:
            word = "is already running" if session.live else "has already run"
            raise Conflict(f"exec command {id} {word}")
        _require_running(session.container, session.container.id)

    async def _run(self, session: Session, console_size: tuple[int, int] | None) -> None:
        request = session.request
        self._tell(session, f"exec_start: {request.command}")
        try:
            process = await asyncio.to_thread(self._process, session, console_size)
            owner = _owner(session.container, process["user"])
            session.running = await self._runtime.exec(
                session.container.id, process, request.terminal, request.stdin, owner
            )
        except RuntimeFailure as error:
            self._ended(session, error.exit_code)
            raise
        except BaseException:
            self._ended(session, 126)
            raise
        session.pid = session.running.pid
        session.ready.set()
        self._tasks.spawn(self._supervise(session, session.running), f"exec {session.id[:12]}")

    def _process(self, session: Session, console_size: tuple[int, int] | None) -> dict[str, Any]:
        request = session.request
        running = session.container.require_live()
        _check_process(request)
        # a container of an earlier engine was adopted without its document
        document = running.bundle.spec or json.loads(running.folder.config.read_text())
        user = self._user(session.container, request) if request.user else None
        return exec_process(
            document,
            request.args,
            env=_environment(request),
            cwd=request.folder,
            user=user,
            terminal=request.terminal,
            privileged=request.privileged,
            console_size=console_size or request.console_size,
        )

    def _user(self, container: Container, request: ExecRequest) -> User:
        groups = tuple(container.record.host_config.get("GroupAdd") or ())
        return users.resolve(Path(self._roots.inside(container)), request.user, groups)

    async def _supervise(self, session: Session, running: ExecRunning) -> None:
        code = await running.wait()
        self._ended(session, code)
        self._tell(session, "exec_die", exitCode=str(code))

    def _ended(self, session: Session, code: int) -> None:
        session.exit_code = code
        session.ended_at = time.monotonic()
        session.container.exec_ids.discard(session.id)
        session.ready.set()
        session.finished.set()

    async def attach(self, id: str, client: Client) -> None:
        """Carry the session's streams to a client until it ends, leaves or detaches."""
        session = self.get(id)
        assert session.running is not None
        request = session.request
        options = AttachOptions(
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
            keys=session.keys if request.terminal else None,
        )
        ended = await carry(client, session.running.streams, options, close=False)
        if ended:
            await session.finished.wait()
        self.let_run(id)

    def let_run(self, id: str) -> None:
        """Nobody listens any more: throw the output away so that the process doesn't block."""
        self._tasks.spawn(_drain(self.get(id)), f"exec {id[:12]}")

    async def probe(
        self, container: Container, args: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        """Run a health check's program. Raises TimeoutError after killing it, EngineError."""
        body = {"Cmd": list(args), "AttachStdout": True, "AttachStderr": True}
        id = await self.create(container.id, body)
        await self.start(id)
        session = self.get(id)
        running = session.running
        assert running is not None
        output = bytearray()
        try:
            async with asyncio.timeout(timeout):
                async for _, data in running.streams:
                    if len(output) < _PROBE_OUTPUT:
                        output += data
                await session.finished.wait()
        except BaseException:
            with contextlib.suppress(OSError):
                await running.kill(9)
            raise
        finally:
            running.streams.close()
            self._sessions.pop(id, None)
        return session.exit_code or 0, bytes(output)

    async def resize(self, id: str, height: int, width: int) -> None:
        """Change the terminal's size. Raises NotFound once it ended, EngineError before that."""
        session = self.get(id)
        try:  # clients resize as soon as they asked for the start
            await asyncio.wait_for(session.ready.wait(), _START_SECONDS)
        except TimeoutError as error:
            raise EngineError("timeout waiting for exec session ready") from error
        if not session.live or session.running is None:
            raise NotFound(f"NotFound: process does not exist {id}: not found")
        await session.running.resize(height, width)

    async def kill_all(self, container: Container) -> None:
        """End what still runs of a container that ended itself."""
        for session in list(self._sessions.values()):
            if session.container is container and session.live and session.running:
                with contextlib.suppress(OSError):
                    await session.running.kill(9)


def _check_process(request: ExecRequest) -> None:
    """Raises RuntimeFailure for what dockerd's runtime refuses and ours would take."""
    if any(entry.startswith("=") for entry in request.env):
        why = "unable to start container process: invalid environment variable: "
        raise RuntimeFailure(f"{_FAILED}{why}name cannot be empty", 128)
    if request.folder and not request.folder.startswith("/"):
        raise RuntimeFailure(f"{_FAILED}Cwd must be an absolute path", 128)


def _environment(request: ExecRequest) -> Sequence[str]:
    if request.terminal and not any(entry.startswith("TERM=") for entry in request.env):
        return ("TERM=xterm", *request.env)
    return request.env


async def _drain(session: Session) -> None:
    if session.running is None:
        return
    try:
        async for _ in session.running.streams:
            continue
        await session.finished.wait()
    finally:
        session.running.streams.close()


def _require_running(container: Container, reference: str) -> None:
    status = container.record.state.status
    if status is Status.PAUSED:
        raise Conflict(f"Container {reference} is paused, unpause the container before exec")
    if status is Status.RESTARTING:
        raise Conflict(f"container {reference} is restarting, wait until the container is running")
    container.require_live()


def _owner(container: Container, user: Json) -> tuple[int, int] | None:
    """A process's user as the machine knows it; None without a user namespace."""
    if not container.record.id_base or container.running is None:
        return None
    ids = userns.ids_of(container.running.pid)
    return ids.outside(user["uid"], user["gid"]) if ids else None
