"""Samples of Dockerfiles, and what became of them at dockerd 28.5 (its classic builder).

A sample is a folder: Dockerfile, `context` (a folder NAME.tar in it is sent as an archive),
`options` for the request, and `expected`: what the build printed, the history, the config, and the
files that the base image lacks. `features` has samples of what only BuildKit does there, of which
the files are compared. To record them again: run this file with an engine's address.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

if __name__ != "__main__":
    from tests.support.native import NativeEngine

pytestmark = pytest.mark.root

SAMPLES = Path(__file__).with_name("samples")
FEATURES = Path(__file__).with_name("features")
TAG = "builder-sample:1"
HIDDEN = (" --->", "Removed intermediate", "Successfully", "\x1b[0m")
DEVICES = ("dev", "proc", "sys", ".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf")


def add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime = 1_700_000_000
    if path.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
        archive.addfile(entry)
    elif path.is_dir() and path.suffix != ".tar":
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
        for child in sorted(path.iterdir()):
            add(archive, f"{name}/{child.name}", child)
    else:
        content = packed(path) if path.is_dir() else path.read_bytes()
        entry.size, entry.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
        archive.addfile(entry, io.BytesIO(content))


def packed(folder: Path) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for child in sorted(folder.iterdir()) if folder.is_dir() else ():
            add(archive, child.name, child)
        if (dockerfile := folder.with_name("Dockerfile")).exists():
            add(archive, "Dockerfile", dockerfile)
    return target.getvalue()


def build(client: docker.APIClient, sample: Path) -> list[str]:
    """What the build printed, without what dockerd says of its own containers."""
    options = sample / "options"
    asked = json.loads(options.read_text()) if options.exists() else {}
    context = packed(sample / "context")
    said = ""
    try:
        for line in client.build(
            fileobj=io.BytesIO(context), custom_context=True, tag=TAG, rm=True, forcerm=True,
            decode=True, **asked,
        ):  # fmt: skip
            said += line.get("stream", "")
            if "error" in line:
                said += f"\nerror: {line['error']} {line['errorDetail'].get('code', '')}\n"
    except docker.errors.APIError as error:
        said += f"refused: {error.status_code} {error.explanation}"
    said = re.sub(r"sha256:[0-9a-f]{64}|\b[0-9a-f]{12,64}\b", "ID", said)
    return [line.rstrip() for line in said.splitlines() if line and not line.startswith(HIDDEN)]


def history(client: docker.APIClient) -> list[str]:
    lines = []
    for entry in reversed(client.history(TAG)):
        told = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", entry["CreatedBy"])
        if told:
            lines.append(f"{'layer' if entry['Size'] else 'empty'} {told}")
    return lines


def config(client: docker.APIClient) -> list[str]:
    found = client.inspect_image(TAG)
    filled = {key: value for key, value in found["Config"].items() if value}
    if found.get("Author"):
        filled["Author"] = found["Author"]
    return json.dumps(filled, indent=1, sort_keys=True).splitlines()


def files(client: docker.APIClient, image: str) -> Iterator[str]:
    """Each file: mode, owner, name, and what is in it."""
    container = client.create_container(image, ["x"], entrypoint="")["Id"]
    try:
        exported = io.BytesIO(b"".join(client.export(container)))
    finally:
        client.remove_container(container, v=True)
    with tarfile.open(fileobj=exported) as archive:
        for entry in archive:
            if entry.name.split("/")[0] in DEVICES or entry.name in DEVICES:
                continue
            what = f"-> {entry.linkname}" if entry.linkname else ""
            if entry.isreg():
                reader = archive.extractfile(entry)
                assert reader is not None
                what = hashlib.sha256(reader.read()).hexdigest()[:12]
            kind = entry.type.decode()
            yield f"{kind} {entry.mode:04o} {entry.uid}:{entry.gid} {entry.name} {what}".rstrip()


def own(client: docker.APIClient) -> list[str]:
    """The files that the base image lacks."""
    base = set(files(client, "busybox"))
    return sorted(set(files(client, TAG)) - base, key=lambda line: line.split(" ", 3)[3])


def result(client: docker.APIClient, sample: Path) -> str:
    """All that there is to compare."""
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.remove_image(TAG, force=True)
    parts = {"printed": build(client, sample)}
    try:
        client.inspect_image(TAG)
    except docker.errors.ImageNotFound:
        pass
    else:
        parts |= {"history": history(client), "config": config(client), "files": own(client)}
        client.remove_image(TAG, force=True)
    return "".join(
        f"== {name}\n{''.join(f'{line}{chr(10)}' for line in lines)}"
        for name, lines in parts.items()
    )


@pytest.fixture(scope="module")
def client(engine: NativeEngine) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=engine.url, timeout=30)
    yield client
    client.close()


@pytest.mark.parametrize("name", sorted(sample.name for sample in SAMPLES.iterdir()))
def test_sample(client: docker.APIClient, name: str) -> None:
    expected = (SAMPLES / name / "expected").read_text()
    assert result(client, SAMPLES / name) == expected


@pytest.mark.parametrize("name", sorted(sample.name for sample in FEATURES.iterdir()))
def test_feature(client: docker.APIClient, name: str) -> None:
    build(client, FEATURES / name)
    expected = (FEATURES / name / "expected").read_text()
    assert "\n".join([*own(client), ""]) == expected
    client.remove_image(TAG, force=True)


def record_feature(url: str, sample: Path) -> None:
    """Build with BuildKit, by the docker CLI's plugin."""
    context = packed(sample / "context")
    subprocess.run(["docker", "-H", url, "build", "-q", "-t", TAG, "-"], input=context, check=True)
    (sample / "expected").write_text("\n".join([*own(peer), ""]))
    peer.remove_image(TAG, force=True)


if __name__ == "__main__":
    peer = docker.APIClient(base_url=sys.argv[1], timeout=60)
    for chosen in sorted([*SAMPLES.iterdir(), *FEATURES.iterdir()]):
        if chosen.name in sys.argv[2:] or len(sys.argv) == 2:
            if chosen.parent == FEATURES:
                record_feature(sys.argv[1], chosen)
            else:
                (chosen / "expected").write_text(result(peer, chosen))
