"""The containers of an engine, composed: what the API and the daemon talk to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from engine.containers import stats
from engine.containers.attach import AttachOptions, Client, carry, wait_for_streams
from engine.containers.change import Changer
from engine.containers.commit import Committer
from engine.containers.container import Container
from engine.containers.create import Creator
from engine.containers.detach import parse_keys
from engine.containers.exec import Execs
from engine.containers.health import Monitor
from engine.containers.inspect import inspect_document
from engine.containers.inspected import Inspected
from engine.containers.lifecycle import Lifecycle
from engine.containers.links import asked_links
from engine.containers.listing import Listing
from engine.containers.logopts import details
from engine.containers.logs import LogOptions, read_logs
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.prune import Pruned, prune
from engine.containers.record import Json, Status
from engine.containers.restore import Restorer
from engine.containers.room import Rooms
from engine.containers.rootfs import Roots
from engine.containers.rows import Rows
from engine.containers.start import Starter
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.containers.views import views
from engine.errors import BadRequest, Conflict, NotFound
from engine.filters import Filters
from engine.linux.placement import spread_below
from engine.runtime import top
from engine.runtime.logs import LogLine


class Containers:
    """Life: `load()`, `await restore()`, serve, `await close()`. Containers outlive it.

    The acts of `Lifecycle`, `Changer` and `Creator` appear here under their own names.
    """

    def __init__(
        self, neighbours: Neighbours, settings: Settings, roots: Roots | None = None
    ) -> None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        spread_below(settings.folder)
        self._neighbours = neighbours
        self._settings = settings
        self._folder_text = str(settings.folder)
        self._tasks = Tasks()
        self.store = store = Store(neighbours.database, neighbours.events)
        self._roots = roots = roots or Roots(neighbours, settings)
        self._starter = Starter(store, roots, neighbours, settings, self._tasks)
        self.lifecycle = life = Lifecycle(store, roots, self._starter, neighbours, self._tasks)
        self.execs = Execs(store, roots, neighbours, settings, self._tasks)
        self.commit = Committer(store, life, neighbours).commit
        self.rooms = Rooms(store, roots, neighbours, settings, self._tasks)
        monitor = Monitor(store, self.execs, self._tasks)
        life.health_start, life.health_stop = monitor.start, monitor.stop
        self._changer = changer = Changer(store, neighbours, settings)
        self._listing = Listing(store.get, self._image_family, self._network_id)
        self._rows = Rows(self._image_ids, self._network_id, store.linked_names)
        self._inspected = Inspected(self._document, self._around)
        self.create = Creator(store, roots, neighbours, settings).create
        self.start, self.stop, self.kill, self.restart = (
            life.start,
            life.stop,
            life.kill,
            life.restart,
        )
        self.pause, self.unpause, self.wait, self.remove = (
            life.pause,
            life.unpause,
            life.wait,
            life.remove,
        )
        self.rename, self.update, self.unlink = changer.rename, changer.update, changer.unlink
        self.connect_network = changer.connect_network
        self.disconnect_network = changer.disconnect_network

    def load(self) -> None:
        """Read the records; before anything else looks at them."""
        self.store.load()

    async def restore(self) -> None:
        """Take back what runs; before the API answers."""
        await Restorer(
            self.store, self._roots, self.lifecycle, self._neighbours, self._settings, self._tasks
        ).restore()

    async def stop_all(self, timeout: int = 10) -> None:
        """Stop every container, when the machine goes down."""
        await self.lifecycle.stop_all(timeout)

    async def close(self) -> None:
        """Let go of the containers; they go on."""
        await self._tasks.close()

    # -- what others ask -----------------------------------------------------------------------

    def chains(self) -> dict[str, Sequence[str]]:
        """The layers of each container, and of each image mounted there, by snapshot."""
        found: dict[str, Sequence[str]] = {one.id: one.record.chain_ids for one in self.store}
        for one in self.store:
            found.update({key: point.options["chain"] for key, point in views(one.record)})
        return found

    def image_users(self, image_id: str) -> Sequence[tuple[str, bool]]:
        """(container id, whether it runs) of every container made from an image or mounting it."""
        return [
            (one.id, one.live)
            for one in self.store
            if one.record.image_id == image_id
            or any(point.options["image"] == image_id for _, point in views(one.record))
        ]

    def volume_users(self, name: str) -> Sequence[str]:
        """The ids of the containers that have a volume among their mounts."""
        return [
            one.id
            for one in self.store
            if any(point.type == "volume" and point.name == name for point in one.record.mounts)
        ]

    def counts(self) -> dict[str, int]:
        """How many run, are paused, are stopped (`docker info`)."""
        found = {"running": 0, "paused": 0, "stopped": 0}
        for one in self.store:
            status = one.record.state.status
            key = "paused" if status is Status.PAUSED else "running" if one.live else "stopped"
            found[key] += 1
        return found

    def _image_ids(self, name: str) -> frozenset[str]:
        try:
            return frozenset({self._neighbours.images.resolve(name).id})
        except NotFound:
            return frozenset()

    def _image_family(self, name: str) -> frozenset[str]:
        """The ids of an image, of its children, of theirs and so on."""
        found = set(self._image_ids(name))
        size = 0
        while len(found) > size:
            size = len(found)
            found |= {one.id for one in self._neighbours.images if one.parent in found}
        return frozenset(found)

    def _network_id(self, name: str) -> str:
        try:
            return self._neighbours.networks.resolve(name).id
        except NotFound:
            return ""

    # -- views ---------------------------------------------------------------------------------

    async def list(
        self, filters: Filters, *, all: bool = False, limit: int = 0, size: bool = False
    ) -> Sequence[Json]:
        """Rows of the list. Raises BadRequest, NotFound."""
        chosen = self._listing.select(self.store, filters, all=all, limit=limit)
        rows = [self._rows.document(one) for one in chosen]
        if size:
            for row, one in zip(rows, chosen, strict=True):
                sizes = await self._sizes(one)
                # the list leaves a size of nothing out, inspect doesn't
                row.update({key: value for key, value in sizes.items() if value})
        return rows

    def listed(self, filters: Filters, *, all: bool, limit: int) -> str:
        """The list without sizes, as JSON. Raises BadRequest, NotFound."""
        return self._rows.text(self._listing.select(self.store, filters, all=all, limit=limit))

    async def usage(self) -> Sequence[Json]:
        """The rows of `docker system df`."""
        return await self.list(Filters(), all=True, size=True)

    async def _sizes(self, container: Container) -> Json:
        written, _ = await self._neighbours.snapshots.usage(container.id)
        try:
            image = self._neighbours.images.resolve(container.record.image_id).size
        except NotFound:
            image = 0
        return {"SizeRw": written, "SizeRootFs": written + image}

    async def inspect(self, reference: str, *, size: bool = False) -> Json:
        """The whole document of one container. Raises NotFound."""
        container = self.store.get(reference)
        document = self._document(container)
        if size:
            document.update(await self._sizes(container))
        return document

    def inspected(self, reference: str) -> str:
        """The document without sizes, as JSON. Raises NotFound."""
        return self._inspected.text(self.store.get(reference))

    def _document(self, container: Container) -> Json:
        snapshots = self._neighbours.snapshots
        document = inspect_document(
            container,
            self._folder_text,
            str(snapshots.upper(container.id).parent),
            snapshots.lower(container.id),
            self._network_id,
        )
        if asked_links(container.record):
            shown = self._links_shown(container)
            document["HostConfig"] = {**document["HostConfig"], "Links": shown or None}
        return document

    def _around(self, container: Container) -> tuple[object, ...]:
        """What a document has from elsewhere: layers, networks, the names of linked containers."""
        networks = tuple(map(self._network_id, container.record.endpoints))
        lower = self._neighbours.snapshots.lower(container.id)
        return lower, networks, self._links_shown(container)

    def _links_shown(self, container: Container) -> Sequence[str]:
        """HostConfig's links as dockerd shows them: `/other:/this/alias`."""
        found = [(self.store.find(name), alias) for name, alias in asked_links(container.record)]
        return [f"/{one.name}:/{container.name}/{alias}" for one, alias in found if one]

    async def prune(self, filters: Filters) -> Pruned:
        """Remove every container that doesn't run."""
        return await prune(self.store, self.lifecycle, self._neighbours.snapshots, filters)

    async def top(self, reference: str, ps_args: str) -> Json:
        """`Titles` and `Processes`. Raises Conflict, BadRequest."""
        container = self.store.get(reference)
        running = container.require_live()
        titles, rows = await top.top(running.pid, ps_args or "-ef")
        self.store.tell(container, "top")
        return {"Titles": titles, "Processes": rows}

    # -- streams -------------------------------------------------------------------------------

    def terminal(self, reference: str) -> bool:
        """Whether the container's output is one raw stream. Raises NotFound."""
        return self.store.get(reference).record.terminal

    def logs(
        self,
        reference: str,
        *,
        stdout: bool,
        stderr: bool,
        follow: bool,
        since_ns: int,
        until_ns: int,
        tail: int | None,
        timed: bool = True,
    ) -> AsyncIterator[Sequence[LogLine]]:
        """Batches of log lines. Raises NotFound, BadRequest, Unsupported at once."""
        options = LogOptions(stdout, stderr, follow, since_ns, until_ns, tail, timed)
        return read_logs(self.store.get(reference), self._settings.folder, options)

    def log_details(self, reference: str) -> bytes:
        """What `docker logs --details` puts before each line. Raises NotFound."""
        return details(self.store.get(reference).record)

    def stats(self, reference: str, *, once: bool, single: bool) -> AsyncIterator[Json]:
        """Samples of a container's use of resources. Raises NotFound at once."""
        return stats.stream(self.store.get(reference), once=once, single=single)

    async def resize(self, reference: str, height: int, width: int) -> None:
        """Change the terminal's size. Raises Conflict when it doesn't run."""
        container = self.store.get(reference)
        await container.require_live().resize(height, width)
        self.store.tell(container, "resize", height=str(height), width=str(width))

    def check_attach(self, reference: str, keys: str) -> bytes:
        """The detach keys. Raises Conflict when attaching isn't possible now."""
        container = self.store.get(reference)
        status = container.record.state.status
        if status is Status.PAUSED:
            raise Conflict(f"container {reference} is paused, unpause the container before attach")
        if status is Status.RESTARTING:
            raise Conflict(
                f"container {reference} is restarting, wait until the container is running"
            )
        try:
            return parse_keys(keys)
        except BadRequest as error:
            raise BadRequest(f"Invalid detach keys ({keys}) provided") from error

    async def attach(
        self,
        reference: str,
        client: Client,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        keys: bytes,
    ) -> None:
        """Carry the container's streams to a client until either ends."""
        container = self.store.get(reference)
        record = container.record
        options = AttachOptions(
            stdin=stdin and bool(record.config["OpenStdin"]),
            stdout=stdout,
            stderr=stderr,
            keys=keys if record.terminal else None,
            close_stdin=bool(record.config["StdinOnce"]) and not record.terminal,
        )
        self.store.tell(container, "attach")
        streams = await wait_for_streams(container, client)
        if streams is None:
            return
        ended = await carry(client, streams, options)
        if not ended and container.live:
            self.store.tell(container, "detach")
        elif ended and container.live and record.state.status is Status.RUNNING:
            # the last output is out; the answer ends with the container, not before
            await asyncio.wait([self.lifecycle.next_exit(container)], timeout=1)

    def folder_of(self, reference: str) -> Any:
        """The container's durable folder."""
        return self._roots.folder(self.store.get(reference).id)
