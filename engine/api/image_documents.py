"""Images as Docker's API prints them."""

import calendar
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.images.model import Image

Document = dict[str, Any]
_SECONDS = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")
ZERO_TIME = "0001-01-01T00:00:00Z"
# what API versions before 1.50 printed of the container that an image's config once was
_OLD_CONFIG: Document = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
_CONFIG_KEYS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
)
# printed even when they are empty, up to version 1.51
_ALWAYS_KEYS = (
    "User",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "OnBuild",
)


def unix_time(text: str) -> int:
    """An RFC 3339 time as seconds since the epoch; Go's zero time when there is none."""
    match = _SECONDS.fullmatch(text or ZERO_TIME)
    if match is None:
        return unix_time(ZERO_TIME)
    seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    zone = match[2] or "Z"
    if zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds


def summary(image: Image, version: tuple[int, int], shared: int = -1) -> Document:
    """One item of `GET /images/json`."""
    tags, digests = list(image.references), list(image.digests)
    if version < (1, 43) and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    document: Document = {
        "Containers": -1,
        "Created": unix_time(image.created),
        "Id": image.id,
        "Labels": image.run_config.get("Labels"),
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": shared,
        "Size": image.size,
    }
    if version < (1, 44):
        document["VirtualSize"] = image.size
    return document


def _config(image: Image, version: tuple[int, int]) -> Document:
    if version < (1, 50):
        return {**_OLD_CONFIG, **image.run_config}
    given = {key: image.run_config[key] for key in _CONFIG_KEYS if image.run_config.get(key)}
    return {**{key: _OLD_CONFIG[key] for key in _ALWAYS_KEYS}, **given}


def _graph(folders: Sequence[Path]) -> Document:
    """GraphDriver: the top layer's folder, and those below it (top first)."""
    if not folders:
        return {"Data": None, "Name": "overlay2"}
    layers = [str(folder) for folder in folders]
    top = folders[0].parent
    paths = {
        "MergedDir": str(top / "merged"),
        "UpperDir": layers[0],
        "WorkDir": str(top / "work"),
    }
    if layers[1:]:
        paths["LowerDir"] = ":".join(layers[1:])
    return {"Data": paths, "Name": "overlay2"}


def inspection(image: Image, version: tuple[int, int], folders: Sequence[Path]) -> Document:
    """`GET /images/{name}/json`; `folders` are the layers' on disk, top first."""
    config = image.config
    history = config.get("history") or [{}]
    document: Document = {
        "Id": image.id,
        "RepoTags": list(image.references),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": config.get("comment") or history[-1].get("comment") or "",
        "Created": image.created or None,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": _config(image, version),
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "",
        "Size": image.size,
        "GraphDriver": _graph(folders),
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Metadata": {"LastTagTime": image.last_tagged or ZERO_TIME},
    }
    for key, source in (("Variant", "variant"), ("OsVersion", "os.version")):
        if config.get(source):
            document[key] = config[source]
    if not image.layers:
        del document["RootFS"]["Layers"]
    if version < (1, 44):
        document["VirtualSize"] = image.size
        document["Created"] = image.created or ""
    if version < (1, 45):
        document["Container"] = config.get("container") or ""
        document["ContainerConfig"] = {**_OLD_CONFIG, **(config.get("container_config") or {})}
    return document


def history(image: Image, parents: Sequence[Image] = ()) -> list[Document]:
    """`GET /images/{name}/history`, newest step first; steps without a layer have size 0.

    `parents` are the images that it was made of here, the nearest first.
    """
    layers = iter(image.layers)
    steps: list[Mapping[str, Any]] = list(image.config.get("history") or ())
    documents: list[Document] = []
    for step in steps:
        layer = None if step.get("empty_layer") else next(layers, None)
        documents.append(_step(step, layer.size if layer else 0))
    documents += [_step({}, layer.size) for layer in layers]
    for made in (image, *parents):
        # a parent is the place that its own history ends with
        if 0 < (place := _steps(made)) <= len(documents):
            documents[place - 1]["Id"] = made.id
            documents[place - 1]["Tags"] = list(made.references) or None
    documents.reverse()
    return documents


def _steps(image: Image) -> int:
    """How many steps an image's history shows: those that it tells, and layers without one."""
    told = image.config.get("history") or ()
    layers = sum(not step.get("empty_layer") for step in told)
    return len(told) + max(len(image.layers) - layers, 0)


def _step(step: Mapping[str, Any], size: int) -> Document:
    return {
        "Comment": step.get("comment") or "",
        "Created": unix_time(step.get("created") or ""),
        "CreatedBy": step.get("created_by") or "",
        "Id": "<missing>",
        "Size": size,
        "Tags": None,
    }
