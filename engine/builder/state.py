"""An image in the making: what a stage has become after each of its steps."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from engine.content.digest import of
from engine.images.model import Image, Layer
from engine.registry.platforms import Platform
from engine.values import dataclass, field, replace

# fields of a base image's document that belong to that image alone
_OWN = frozenset({"config", "container_config", "container", "history", "rootfs", "created", "id"})


@dataclass(frozen=True)
class State:
    """Immutable; `step` gives the next one. key: digest of all that led here.

    platform and other fields of the base image's document are in `rest`. parent: the image that
    it began with, "" from scratch.
    """

    rest: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[Layer, ...] = ()
    chain: tuple[str, ...] = ()
    created: str = ""
    key: str = ""
    parent: str = ""

    @classmethod
    def scratch(cls, platform: Platform) -> "State":
        """Nothing at all."""
        rest = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            rest["variant"] = platform.variant
        return cls(rest, key="scratch")

    @classmethod
    def of(cls, image: Image) -> "State":
        """What an image is."""
        document = image.config
        return cls(
            rest={key: value for key, value in document.items() if key not in _OWN},
            config=copy.deepcopy(dict(image.run_config)),
            history=tuple(document.get("history") or ()),
            layers=image.layers,
            chain=image.chain_ids,
            created=image.created,
            key=image.id,
            parent=image.id,
        )

    @property
    def top(self) -> str:
        """The chain id of the highest layer, "" without any."""
        return self.chain[-1] if self.chain else ""

    @property
    def author(self) -> str:
        """The image's author."""
        return str(self.rest.get("author") or "")

    def step(
        self,
        key: str,
        created: str,
        created_by: str,
        config: Mapping[str, Any],
        author: str,
        layer: Layer | None = None,
        chain_id: str = "",
    ) -> "State":
        """The state after a step, with or without a layer."""
        line = {"created": created, "created_by": created_by}
        if author:
            line["author"] = author
        entry: dict[str, Any] = line if layer else {**line, "empty_layer": True}
        return replace(
            self,
            rest={**self.rest, "author": author} if author else self.rest,
            config=config,
            history=(*self.history, entry),
            layers=(*self.layers, layer) if layer else self.layers,
            chain=(*self.chain, chain_id) if layer else self.chain,
            created=created,
            key=key,
        )

    def document(self, created: str = "") -> bytes:
        """The image's config as it is stored (OCI image specification, config.md)."""
        document = {
            **self.rest,
            "config": self.config,
            "created": created or self.created,
            "history": list(self.history),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def untouched(self) -> bool:
        """Whether it's an image as it was found."""
        return bool(self.parent) and self.key == self.parent

    @property
    def image_id(self) -> str:
        """The id of the image that this state is; "" for nothing at all."""
        if self.untouched:
            return self.parent
        return of(self.document()) if self.history or self.layers else ""
