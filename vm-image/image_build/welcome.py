"""The image `cove/welcome`, as an archive that `docker load` takes: a greeting and a shell."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence

GREETING = """
  Welcome to Cove.

  This text comes from a container: your docker command spoke to Cove's engine, which
  unpacked an image, gave it a network and file system of its own, and ran one program in it.

  What to try next:

    docker run -it --rm cove/welcome sh         a shell in a container of your own
    docker run -d -p 8080:80 cove/welcome serve  a web page at http://localhost:8080
    docker ps                                   what is running
    docker run -it --rm debian bash             any image from a registry
    cove status                                 how Cove itself is doing

"""
PAGE = """<!doctype html><meta charset="utf-8"><title>Cove</title>
<body style="font:18px/1.5 system-ui;max-width:36em;margin:12vh auto;padding:0 1em">
<h1>It works.</h1><p>This page is served from a container by <code>cove/welcome</code>.</p>
"""
SERVE = "#!/bin/sh\nexec httpd -f -v -p 80 -h /srv/www\n"
DOCKER_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", *, mode: int = 0o644) -> None:
    """A file of root's; the time is fixed so that the same image has the same digest."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def add_folder(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    """A folder of root's."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    """A symbolic link."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    tar.addfile(entry)


def layer(busybox: bytes, applets: Sequence[str]) -> bytes:
    """The only layer: busybox with all its names, accounts, the greeting, a page to serve."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in (
            "bin",
            "etc",
            "dev",
            "proc",
            "sys",
            "root",
            "home",
            "usr",
            "usr/bin",
            "usr/local",
        ):
            add_folder(tar, name)
        for name in ("usr/local/bin", "var", "var/log", "srv", "srv/www", "run"):
            add_folder(tar, name)
        for name in ("tmp", "var/tmp"):
            add_folder(tar, name, 0o1777)
        add(tar, "bin/busybox", busybox, mode=0o755)
        for applet in applets:
            if applet != "busybox":
                add_link(tar, f"bin/{applet}", "busybox")
        add_link(tar, "usr/bin/env", "../../bin/busybox")
        accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        add(tar, "etc/passwd", accounts.encode())
        add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        add(tar, "etc/welcome", GREETING.encode())
        add(tar, "srv/www/index.html", PAGE.encode())
        add(tar, "usr/local/bin/serve", SERVE.encode(), mode=0o755)
    return output.getvalue()


def archive(busybox: bytes, applets: Sequence[str], architecture: str) -> bytes:
    """The docker-archive: manifest.json, config, layer."""
    content = layer(busybox, applets)
    diff_id = hashlib.sha256(content).hexdigest()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = {
        "architecture": DOCKER_ARCHITECTURE[architecture],
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": [f"PATH={path}"],
            "Cmd": ["cat", "/etc/welcome"],
            "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": "cove/welcome"},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [
            {"created": "2026-01-01T00:00:00Z", "created_by": "ADD busybox and a greeting # cove"},
            {
                "created": "2026-01-01T00:00:00Z",
                "created_by": 'CMD ["cat" "/etc/welcome"]',
                "empty_layer": True,
            },
        ],
    }
    text = json.dumps(config, separators=(",", ":")).encode()
    image = hashlib.sha256(text).hexdigest()
    listing = [
        {
            "Config": f"{image}.json",
            "RepoTags": ["cove/welcome:latest"],
            "Layers": [f"{diff_id}/layer.tar"],
        }
    ]
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        add(tar, f"{image}.json", text)
        add(tar, f"{diff_id}/layer.tar", content)
        add(tar, "manifest.json", json.dumps(listing).encode())
    return output.getvalue()
