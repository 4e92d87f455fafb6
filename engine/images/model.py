"""What an image is to the rest of the engine."""

from collections.abc import Mapping
from typing import Any

from engine.values import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer: its uncompressed digest, and the blob that it was unpacked from.

    `size` is the unpacked layer's files in bytes, `blob_size` the blob's.
    """

    diff_id: str
    blob: str
    media_type: str
    blob_size: int
    size: int


@dataclass(frozen=True)
class Image:
    """An image as a container needs it; made new whenever its references change.

    id: `sha256:` digest of the config. config: the whole OCI image config ("config", "rootfs"...).
    chain_ids: lowest first. size: all layers' files in bytes. created: RFC 3339 or "".
    references: familiar names with tag (`busybox:latest`); digests: `busybox@sha256:...`.
    """

    id: str
    config: Mapping[str, Any]
    config_text: str
    layers: tuple[Layer, ...]
    chain_ids: tuple[str, ...]
    size: int
    created: str
    references: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    parent: str = ""
    last_tagged: str = ""

    @property
    def run_config(self) -> Mapping[str, Any]:
        """The inner "config": Cmd, Env, Entrypoint, User and so on ({} when absent)."""
        return self.config.get("config") or {}
