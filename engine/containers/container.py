"""One container in memory: its record and what only a living engine knows of it."""

import asyncio
from collections.abc import Callable, Mapping

from engine.containers.record import LIVE, Record, Status
from engine.containers.restart import Backoff
from engine.errors import Conflict
from engine.networks import Sandbox
from engine.runtime.running import Running
from engine.runtime.streams import Streams
from engine.values import dataclass, field


@dataclass(frozen=True)
class Ended:
    """How a wait ends: the exit code, and the error of a start that failed."""

    exit_code: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A container's row of the list as it was encoded last, but for the words of its age.

    `revision`, `sandbox`, `status` and `around` (its image's and networks' ids) tell whether it
    still holds.
    """

    revision: int
    sandbox: Sandbox | None
    status: Status
    around: tuple[object, ...]
    before: str
    after: str


@dataclass
class Container:
    """A container; `lock` guards every change of its state, one at a time.

    `ended` is set while no process runs. `exits` and `removals` are the waits under way;
    `pending` are attached clients of a container that hasn't started yet; `visits` cut short what
    goes on in its files at a client's pace. `revision` counts the
    times that the record was written.
    """

    record: Record
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: Running | None = None
    sandbox: Sandbox | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    exits: set[asyncio.Future[Ended]] = field(default_factory=set)
    removals: set[asyncio.Future[Ended]] = field(default_factory=set)
    pending: set[asyncio.Future[Streams]] = field(default_factory=set)
    visits: set[Callable[[], None]] = field(default_factory=set)
    backoff: Backoff = field(default_factory=Backoff)
    comeback: asyncio.Task[None] | None = None
    unmounting: asyncio.Task[None] | None = None
    restarting_by_hand: bool = False
    removing: bool = False
    exec_ids: set[str] = field(default_factory=set)
    health: "Health | None" = None
    revision: int = 0
    row: Row | None = None

    def __post_init__(self) -> None:
        if self.record.state.status not in LIVE:
            self.ended.set()

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def live(self) -> bool:
        """Whether a process of it exists (running or paused)."""
        return self.record.state.status in LIVE

    @property
    def running_word(self) -> bool:
        """Docker's `State.Running`: also true while it waits to be restarted."""
        return self.live or self.record.state.status is Status.RESTARTING

    def require_live(self) -> Running:
        """The running process. Raises Conflict in Docker's words."""
        if not self.live or self.running is None:
            raise Conflict(f"container {self.id} is not running")
        return self.running

    def tell_exit(self, ended: Ended) -> None:
        """Wake everyone who waits for the end of this run."""
        self.ended.set()
        _resolve(self.exits, ended)

    def tell_removal(self, ended: Ended) -> None:
        """Wake everyone who waits for the removal."""
        _resolve(self.removals, ended)

    def attributes(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What an event of this container says: labels, image, name, and the act's own words."""
        return {
            **self.record.labels,
            "image": self.record.config["Image"],
            "name": self.record.name,
            **(extra or {}),
        }


@dataclass
class Health:
    """The state of a health check; `log` holds the last five results in Docker's form."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[dict[str, object]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


def _resolve(futures: set[asyncio.Future[Ended]], ended: Ended) -> None:
    for future in futures:
        if not future.done():
            future.set_result(ended)
    futures.clear()
