"""The image browser's questions, answered for one image: layers, changes, tree, files, waste.

Life of an answer: the route asks for an image -> `Browser(store, image)` -> a method, in a
thread, since all of them read folders. Counted layers are remembered: a layer's chain id says
all that is below it.
"""

import itertools
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import BadRequest, NotFound
from engine.images.inside.changes import Change, Summary, changes, summarize
from engine.images.inside.entries import Entry, Type
from engine.images.inside.tree import Tree
from engine.images.model import Image, Layer
from engine.images.store import Store
from engine.snapshots.diff import Kind
from engine.values import dataclass

_REMEMBERED = 1000
_counted: OrderedDict[str, Summary] = OrderedDict()


@dataclass(frozen=True)
class LayerView:
    """A layer in its image. `step` is its entry of the image's history; `shared` names the
    other images that stand on the same layer, by reference where they have one."""

    index: int
    chain_id: str
    layer: Layer
    step: Mapping[str, Any]
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Wasted:
    """A path that lower layers hold in vain: bytes, and in how many layers it was written."""

    path: str
    size: int
    layers: int


@dataclass(frozen=True)
class Waste:
    """What an image stores and never shows, in bytes; `paths` are the largest."""

    stored: int
    wasted: int
    paths: tuple[Wasted, ...]


class Browser:
    """One image from inside. Every method blocks. Raises NotFound when a layer is missing."""

    def __init__(self, store: Store, image: Image) -> None:
        self._store = store
        self._image = image
        layers = store.snapshots.layers
        for chain_id in image.chain_ids:
            if layers.get(chain_id) is None:
                raise NotFound(f"layer {chain_id} does not exist; pull or load the image again")
        self._folders = [layers.diff(chain_id) for chain_id in image.chain_ids]

    def layers(self) -> list[LayerView]:
        """All layers, the lowest first."""
        others = [image for image in self._store if image.id != self._image.id]
        views = []
        steps = self._steps()
        for index, (layer, chain_id) in enumerate(
            zip(self._image.layers, self._image.chain_ids, strict=True)
        ):
            shared = tuple(
                (image.references or image.digests or (image.id,))[0]
                for image in others
                if chain_id in image.chain_ids
            )
            views.append(LayerView(index, chain_id, layer, next(steps, {}), shared))
        return views

    def _steps(self) -> Iterator[Mapping[str, Any]]:
        for step in self._image.config.get("history") or ():
            if not step.get("empty_layer"):
                yield step

    def summary(self, index: int) -> Summary:
        """The changes of a layer in numbers."""
        folders = self._up_to(index)
        chain_id = self._image.chain_ids[index]
        known = _counted.get(chain_id)
        if known is None:
            known = _counted[chain_id] = summarize(folders)
            while len(_counted) > _REMEMBERED:
                _counted.popitem(last=False)
        return known

    def changes(self, index: int, after: str, limit: int, kind: Kind | None) -> list[Change]:
        """Up to `limit` changes of a layer behind the path `after`, of one kind or all."""
        found = changes(self._up_to(index), after)
        return list(
            itertools.islice((each for each in found if kind is None or each.kind == kind), limit)
        )

    def tree(self, index: int, path: str, after: str, limit: int) -> tuple[list[Entry], int]:
        """A page of a folder as it looks from a layer, and how many entries it has in all."""
        tree = Tree(self._up_to(index))
        return tree.page(path, after, limit)

    def file(self, index: int, path: str) -> tuple[Entry, BinaryIO]:
        """A file and its content; the caller closes it, or forgets it. Raises BadRequest."""
        entry, full = Tree(self._up_to(index)).find(path)
        if entry.type is not Type.FILE:
            points = f" to {entry.target}" if entry.target else ""
            raise BadRequest(f"{entry.path} is a {entry.type}{points}; only a file has content")
        opened = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return entry, open(opened, "rb", buffering=0)

    def waste(self, largest: int = 100) -> Waste:
        """The bytes that upper layers hide."""
        sizes: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for index in range(1, len(self._folders)):
            for change in changes(self._up_to(index)):
                if change.hidden:
                    sizes[change.entry.path] += change.hidden
                    times[change.entry.path] += 1
        paths = tuple(Wasted(path, size, times[path]) for path, size in sizes.most_common(largest))
        return Waste(self._image.size, sizes.total(), paths)

    def _up_to(self, index: int) -> Sequence[Path]:
        if not 0 <= index < len(self._folders):
            raise NotFound(f"the image has {len(self._folders)} layers; there is no layer {index}")
        return self._folders[: index + 1]

    def top(self) -> int:
        """The index of the highest layer. Raises NotFound for an image without any."""
        if not self._folders:
            raise NotFound("the image has no layers: it was made from scratch and holds no files")
        return len(self._folders) - 1
