"""The rows of `GET /containers/json`: as documents, and as JSON text that is kept between lists.

Nearly all of a row stays as it is from one list to the next; only the words of its age change. So
a list of a thousand containers costs a few milliseconds, not a tenth of a second.
"""

import json
from collections.abc import Callable, Iterable

from engine.containers.container import Container, Row
from engine.containers.endpoints import networks_document, ports_list
from engine.containers.record import Json, Record
from engine.containers.words import command_text, status_text

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def health_of(container: Container) -> str:
    """`starting`, `healthy`, `unhealthy`, or `none` without a check."""
    return container.health.status if container.health else "none"


class Rows:
    """Shows containers as the list does."""

    def __init__(
        self,
        image_ids: Callable[[str], frozenset[str]],
        network_id: Callable[[str], str],
        linked_names: Callable[[Container], tuple[str, ...]],
    ) -> None:
        """`image_ids`: the images that a name stands for; `network_id`: "" for one that's gone.

        `linked_names`: how others call a container, by their links.
        """
        self._image_ids = image_ids
        self._network_id = network_id
        self._linked_names = linked_names

    def document(self, container: Container) -> Json:
        """One entry of the list, without sizes."""
        name = str(container.record.config["Image"])
        linked = self._linked_names(container)
        return _document(container, self._image_ids(name), self._network_id, linked)

    def text(self, containers: Iterable[Container]) -> str:
        """The list of the entries, as JSON."""
        images: dict[str, frozenset[str]] = {}
        networks: dict[str, str] = {}

        def network_id(name: str) -> str:
            found = networks.get(name)
            if found is None:
                found = networks[name] = self._network_id(name)
            return found

        rows = []
        for one in containers:
            name = str(one.record.config["Image"])
            ids = images.get(name)
            if ids is None:
                ids = images[name] = self._image_ids(name)
            rows.append(_text(one, ids, network_id, self._linked_names(one)))
        return f"[{','.join(rows)}]"


def _text(
    container: Container,
    image_ids: frozenset[str],
    network_id: Callable[[str], str],
    linked: tuple[str, ...],
) -> str:
    record, row = container.record, container.row
    around = (image_ids, linked, *map(network_id, record.endpoints))
    if (
        row is None
        or row.revision != container.revision
        or row.sandbox is not container.sandbox
        or row.status is not record.state.status
        or row.around != around
    ):
        document = _document(container, image_ids, network_id, linked)
        before, after = _halves(document, "Status")
        row = container.row = Row(
            container.revision, container.sandbox, record.state.status, around, before, after
        )
    # its words need no quoting
    return f'{row.before},"Status":"{status_text(record, health_of(container))}",{row.after}'


def _halves(document: Json, key: str) -> tuple[str, str]:
    """The JSON before and after one key that is neither the first nor the last."""
    place = list(document).index(key)
    items = list(document.items())
    return _encode(dict(items[:place]))[:-1], _encode(dict(items[place + 1 :]))[1:]


def _document(
    container: Container,
    image_ids: frozenset[str],
    network_id: Callable[[str], str],
    linked: tuple[str, ...],
) -> Json:
    record = container.record
    host: Json = {"NetworkMode": record.network_mode}
    if record.host_config.get("Annotations"):
        host["Annotations"] = record.host_config["Annotations"]
    return {
        "Id": record.id,
        "Names": [f"/{name}" for name in (record.name, *linked)],
        "Image": _image_name(record, image_ids),
        "ImageID": record.image_id,
        "Command": command_text(record),
        "Created": record.created // 1_000_000_000,
        "Ports": ports_list(record, container.sandbox),
        "Labels": record.labels,
        "State": str(record.state.status),
        "Status": status_text(record, health_of(container)),
        "HostConfig": host,
        "NetworkSettings": {"Networks": networks_document(record, container.sandbox, network_id)},
        "Mounts": [point.to_api() for point in record.mounts],
    }


def _image_name(record: Record, image_ids: frozenset[str]) -> str:
    """The name it was created with, as long as that still means the same image."""
    return str(record.config["Image"]) if record.image_id in image_ids else record.image_id
