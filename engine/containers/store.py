"""All containers of the engine: lookup, names, and their records in the database."""

from collections.abc import Iterator

from engine.containers.container import Container
from engine.containers.links import asked_links
from engine.containers.names import check_name, name_taken, random_name
from engine.containers.neighbours import Database, Events
from engine.containers.record import Record
from engine.errors import BadRequest, EngineError, NotFound

KIND = "container"


class Store:
    """Containers in memory, written through to the database.

    A name is taken from the moment it's reserved, before the container exists.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._linking: dict[str, Container] = {}

    def load(self) -> None:
        """Read every record; at the engine's start."""
        for key, record in self._database.load(KIND).items():
            container = Container(Record.from_json(record))
            self._containers[key] = container
            self._names[container.name] = key
            self._note_links(container)

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._containers.values()))

    def __len__(self) -> int:
        return len(self._containers)

    def find(self, reference: str) -> Container | None:
        """By id, name or unambiguous prefix of an id. Raises BadRequest when it's ambiguous."""
        found = self._containers.get(reference)
        if found is None:
            found = self._containers.get(self._names.get(reference.removeprefix("/"), ""))
        if found is not None or not reference:
            return found
        if "/" in reference:
            return self.linked(reference)[0]
        matches = [one for id, one in self._containers.items() if id.startswith(reference)]
        if len(matches) > 1:
            raise BadRequest(f"multiple IDs found with provided prefix: {reference}")
        return matches[0] if matches else None

    def linked(self, reference: str) -> tuple[Container | None, Container | None]:
        """By `NAME/ALIAS`: what the container NAME calls ALIAS, and that container."""
        name, _, alias = reference.removeprefix("/").partition("/")
        parent = self._linking.get(self._names.get(name, ""))
        for other, its_alias in asked_links(parent.record) if parent else ():
            if its_alias == alias:
                return self.find(other), parent
        return None, None

    def linked_names(self, container: Container) -> tuple[str, ...]:
        """`NAME/ALIAS` for each container that calls this one so."""
        return tuple(
            f"{parent.name}/{alias}"
            for parent in self._linking.values()
            for other, alias in asked_links(parent.record)
            if self.find(other) is container
        )

    def _note_links(self, container: Container) -> None:
        if asked_links(container.record):
            self._linking[container.id] = container

    def get(self, reference: str) -> Container:
        """As `find`. Raises NotFound in Docker's words."""
        found = self.find(reference)
        if found is None:
            raise NotFound(f"No such container: {reference}")
        return found

    def reserve(self, name: str, id: str) -> str:
        """Take a name (a random one for ""). Raises Conflict, BadRequest; returns it bare."""
        if name:
            bare = check_name(name)
            if bare in self._names:
                raise name_taken(bare, self._names[bare])
            self._names[bare] = id
            return bare
        for attempt in range(100):
            candidate = random_name(attempt)
            if candidate not in self._names:
                self._names[candidate] = id
                return candidate
        raise EngineError("no random name is left: name the container with --name")

    def release(self, name: str, id: str) -> None:
        """Give a name back if `id` still holds it."""
        if self._names.get(name) == id:
            del self._names[name]

    async def add(self, container: Container) -> None:
        """Record a new container; it exists from here on."""
        await self.save(container, durable=not container.record.auto_remove)
        self._containers[container.id] = container
        self._note_links(container)

    async def save(self, container: Container, *, durable: bool = False) -> None:
        """Write the record; `durable` survives loss of power, otherwise only the engine's death."""
        container.revision += 1
        await self._database.put(KIND, container.id, container.record.to_json(), durable)

    async def save_state(self, container: Container) -> None:
        """Write after a change of state: restart policies must outlive a crash of the machine."""
        await self.save(container, durable=container.record.restart_policy != "no")

    async def forget(self, container: Container) -> None:
        """Delete the record and free the name."""
        await self._database.delete(KIND, container.id, not container.record.auto_remove)
        self._containers.pop(container.id, None)
        self._linking.pop(container.id, None)
        self.release(container.name, container.id)

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """Publish an event of the container."""
        self._events.publish("container", action, container.id, container.attributes(attributes))
