"""What a person can ask of the engine: each function returns an operation with its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from desktop.client.engine import Engine
from desktop.client.rows import Container, Image, Network, Volume

# docker stop's own default; the request may take that long before the engine kills.
STOP_SECONDS = 10


@dataclass(frozen=True)
class Operation:
    """One request. `busy` names it while it runs, `failed` says that it did not work."""

    keys: tuple[str, ...]
    busy: str
    failed: str
    run: Callable[[Engine], None]


def start(row: Container) -> Operation:
    """Start a stopped container, or let a paused one go on."""
    if row.state == "paused":
        return resume(row)
    return Operation(
        (row.id,), "Starting", f"{row.name} did not start", lambda e: e.client().start(row.id)
    )


def stop(row: Container) -> Operation:
    """SIGTERM, then SIGKILL after ten seconds."""

    def run(engine: Engine) -> None:
        engine.client().stop(row.id, timeout=STOP_SECONDS)

    return Operation((row.id,), "Stopping", f"{row.name} did not stop", run)


def restart(row: Container) -> Operation:
    """Stop and start again."""

    def run(engine: Engine) -> None:
        engine.client().restart(row.id, timeout=STOP_SECONDS)

    return Operation((row.id,), "Restarting", f"{row.name} did not restart", run)


def pause(row: Container) -> Operation:
    """Freeze every process."""
    return Operation(
        (row.id,), "Pausing", f"{row.name} did not pause", lambda e: e.client().pause(row.id)
    )


def resume(row: Container) -> Operation:
    """The end of a pause."""
    return Operation(
        (row.id,), "Resuming", f"{row.name} did not resume", lambda e: e.client().unpause(row.id)
    )


def remove(row: Container) -> Operation:
    """Remove a container, running or not; its named volumes stay."""

    def run(engine: Engine) -> None:
        engine.client().remove_container(row.id, force=True)

    return Operation((row.id,), "Removing", f"{row.name} was not removed", run)


def remove_image(row: Image) -> Operation:
    """Remove a reference, and the image itself when it was the last one."""

    def run(engine: Engine) -> None:
        engine.client().remove_image(row.id if row.dangling else row.reference)

    return Operation((row.key,), "Removing", f"{row.reference} was not removed", run)


def remove_volume(row: Volume) -> Operation:
    """Remove a volume and what is in it."""

    def run(engine: Engine) -> None:
        engine.client().remove_volume(row.name)

    return Operation((row.key,), "Removing", f"{row.name} was not removed", run)


def create_volume(name: str) -> Operation:
    """Make an empty volume."""

    def run(engine: Engine) -> None:
        engine.client().create_volume(name)

    return Operation((name,), "Creating", f"The volume {name} was not created", run)


def remove_network(row: Network) -> Operation:
    """Remove a network nobody is on."""

    def run(engine: Engine) -> None:
        engine.client().remove_network(row.id)

    return Operation((row.key,), "Removing", f"{row.name} was not removed", run)


def create_network(name: str) -> Operation:
    """Make a bridge network with a subnet of the engine's choice."""

    def run(engine: Engine) -> None:
        engine.client().create_network(name, driver="bridge")

    return Operation((name,), "Creating", f"The network {name} was not created", run)


@dataclass(frozen=True)
class RunOptions:
    """What the Run sheet asks for; `ports` as `8080:80`, `environment` as `KEY=value`."""

    image: str
    name: str = ""
    command: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    remove: bool = False


def run(options: RunOptions) -> Operation:
    """Create a container, of an image that is pulled unless it is here, and start it."""

    def work(engine: Engine) -> None:
        client = engine.client()
        bindings: dict[str, list[tuple[str, int | None]]] = {}
        for text in options.ports:
            public, _, private = text.rpartition(":")
            bindings.setdefault(private, []).append(("", int(public) if public else None))
        host = client.create_host_config(port_bindings=bindings or None, auto_remove=options.remove)
        _pull_if_missing(engine, options.image)
        made = client.create_container(
            options.image,
            command=list(options.command) or None,
            name=options.name or None,
            environment=list(options.environment) or None,
            ports=[_exposed(private) for private in bindings] or None,
            host_config=host,
        )
        try:
            client.start(made["Id"])
        except Exception:
            client.remove_container(made["Id"], force=True)
            raise

    return Operation((options.image,), "Starting", f"{options.image} did not run", work)


def _pull_if_missing(engine: Engine, reference: str) -> None:
    from docker.errors import NotFound

    from desktop.client.streams import Pull

    try:
        engine.inspect_image(reference)
    except NotFound:
        for _ in Pull(engine, reference):
            pass


def _exposed(private: str) -> tuple[int, str]:
    port, _, protocol = private.partition("/")
    return int(port), protocol or "tcp"
