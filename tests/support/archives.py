"""Image archives made in memory, for loading."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """A tar of regular files (and symbolic links), owned by root, times at the epoch."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def config_of(layers: Sequence[bytes], **fields: object) -> bytes:
    """An image config whose rootfs is the plain layers."""
    return json.dumps(
        {
            "architecture": os.uname()
            .machine.replace("x86_64", "amd64")
            .replace("aarch64", "arm64"),
            "os": "linux",
            "created": "2024-05-06T07:08:09Z",
            "config": {"Cmd": ["sh"]},
            "history": [
                {"created": "2024-05-06T07:08:09Z", "created_by": f"ADD layer {number}"}
                for number in range(len(layers))
            ],
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{digest(layer)}" for layer in layers],
            },
            **fields,
        }
    ).encode()


def archive_of(reference: str, layers: Sequence[bytes], *, packed: bool = False) -> bytes:
    """A docker-archive of given plain layers, each gzipped inside when `packed`."""
    config = config_of(layers)
    names = [f"{digest(layer)}/layer.tar" for layer in layers]
    contents = [gzip.compress(layer, 1) if packed else layer for layer in layers]
    name = f"{digest(config)}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": names}]
    return tar_of(
        {
            **dict(zip(names, contents, strict=True)),
            name: config,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def docker_archive(reference: str, layers: int, megabytes: int) -> bytes:
    """A docker-archive with layers of random bytes."""
    return archive_of(
        reference,
        [
            tar_of({f"file{number}": os.urandom(megabytes << 20), "same": b"%d" % number})
            for number in range(layers)
        ],
    )


def layout_of(
    layers: Sequence[bytes], names: Sequence[str] = (), *, media_type: str = "", pack: object = None
) -> bytes:
    """An OCI layout as a tar; `pack` compresses the layers."""
    packed = [pack(layer) if callable(pack) else layer for layer in layers]
    config = config_of(layers)
    blobs = {f"blobs/sha256/{digest(each)}": each for each in [*packed, config]}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                _descriptor(media_type or "application/vnd.oci.image.layer.v1.tar", each)
                for each in packed
            ],
        }
    ).encode()
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entries = [
        {**entry, "annotations": {"org.opencontainers.image.ref.name": name}} for name in names
    ] or [entry]
    return tar_of(
        {
            **blobs,
            f"blobs/sha256/{digest(manifest)}": manifest,
            "index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode(),
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        }
    )


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{digest(content)}", "size": len(content)}
