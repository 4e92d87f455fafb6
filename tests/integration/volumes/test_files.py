"""Looking and working inside volumes over the engine's own endpoints."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine
from tests.support.unix_http import ask, lines

pytestmark = pytest.mark.root

FILL = (
    "mkdir -p /d/sub && echo hi >/d/sub/f && ln /d/sub/f /d/hard && ln -s /etc/passwd /d/out"
    " && ln -s sub/f /d/in && mkfifo /d/pipe && mknod /d/disk b 254 0 && chown -R 5:6 /d/sub"
    " && chmod 2751 /d/sub && chmod 4711 /d/sub/f && truncate -s 20M /d/sparse"
    " && echo x >>/d/sparse && chown 70:71 /d && chmod 750 /d"
)
SHOW = (
    "cd /d && find . | sort | xargs stat -c '%n %F %a %u:%g %h %s %Y'"
    " && readlink in && readlink out && cat sub/f && md5sum sparse"
    " && du -k sparse && stat -c %t:%T disk"
)


class Api:
    """Requests below /cove/volumes."""

    def __init__(self, engine: NativeEngine) -> None:
        self.engine = engine
        self.made: list[str] = []

    def raw(self, method: str, path: str, body: Any = None, status: int = 200) -> bytes:
        code, text = ask(self.engine.socket, method, f"/cove/volumes/{path}", body)
        assert code == status, text
        return text

    def get(self, path: str, status: int = 200) -> Any:
        return json.loads(self.raw("GET", path, status=status))

    def put(self, path: str, body: bytes, status: int = 200) -> Any:
        return json.loads(self.raw("PUT", path, body, status))

    def clone(self, name: str, new: str) -> list[Any]:
        return list(lines(self.raw("POST", f"{name}/clone", {"Name": new})))

    def name(self) -> str:
        self.made.append(f"f-{uuid4().hex[:12]}")
        return self.made[-1]

    def run(self, name: str, script: str) -> str:
        return self.engine.docker(
            "run", "--rm", "-v", f"{name}:/d", "busybox", "sh", "-c", script
        ).stdout

    def place(self, name: str) -> Path:
        return self.engine.root / "volumes" / name / "_data"


@pytest.fixture
def api(native_engine: NativeEngine) -> Iterator[Api]:
    api = Api(native_engine)
    yield api
    native_engine.docker("volume", "rm", "-f", *api.made)
    left = [one for one in os.listdir(native_engine.root / "volumes") if one.startswith(".")]
    assert left == []


@pytest.fixture
def filled(api: Api) -> str:
    name = api.name()
    api.engine.docker("volume", "create", "--label", "kind=test", name)
    api.run(name, FILL)
    return name


def tar_of(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def test_pages_of_a_folder(api: Api, filled: str) -> None:
    found = api.get(f"{filled}/tree?limit=3")
    assert [(one["Path"], one["Type"], one["Links"]) for one in found["Entries"]] == [
        ("/disk", "block device", 1),
        ("/hard", "file", 2),
        ("/in", "symlink", 1),
    ]
    assert (found["Total"], found["Next"]) == (7, "in")
    rest = api.get(f"{filled}/tree?limit=5&after=in")
    assert [(one["Path"], one["Target"]) for one in rest["Entries"]] == [
        ("/out", "/etc/passwd"),
        ("/pipe", ""),
        ("/sparse", ""),
        ("/sub", ""),
    ]
    assert rest["Next"] == ""
    [entry] = api.get(f"{filled}/tree?path=/sub")["Entries"]
    assert (entry["Path"], entry["Mode"], entry["Uid"], entry["Gid"], entry["Size"]) == (
        "/sub/f", 0o4711, 5, 6, 3,
    )  # fmt: skip
    assert api.get(f"{filled}/entry?path=/in")["Target"] == "sub/f"
    assert api.get(f"{filled}/entry")["Mode"] == 0o750


def test_reading(api: Api, filled: str) -> None:
    assert api.raw("GET", f"{filled}/file?path=/sub/f") == b"hi\n"
    assert api.raw("GET", f"{filled}/file?path=/in&offset=1&limit=1") == b"i"
    assert api.raw("GET", f"{filled}/file?path=/in&offset={10**30}") == b""
    assert api.get(f"{filled}/file?path=/out", 404)["message"] == "the volume has no file /out"
    for path, kind in (("pipe", "fifo"), ("disk", "block device"), ("sub", "directory")):
        told = api.get(f"{filled}/file?path=/{path}", 400)["message"]
        assert told == f"/{path} is a {kind}; only a file has content"
    assert "without .." in api.get(f"{filled}/file?path=/../x", 400)["message"]
    assert api.get("nope/tree", 404)["message"] == "get nope: no such volume"
    assert "not a directory" in api.get(f"{filled}/tree?path=/hard/x", 400)["message"]


def test_writing(api: Api, filled: str) -> None:
    kept = api.put(f"{filled}/file?path=/sub/f", b"new text")
    assert (kept["Mode"], kept["Uid"], kept["Gid"], kept["Size"]) == (0o4711, 5, 6, 8)
    made = api.put(f"{filled}/file?path=/sub/g", b"")
    assert (made["Mode"], made["Uid"], made["Gid"]) == (0o644, 5, 6)
    given = api.put(f"{filled}/file?path=/g&mode=0600&uid=8&gid=9", bytes(3 << 20))
    assert (given["Mode"], given["Uid"], given["Gid"], given["Size"]) == (0o600, 8, 9, 3 << 20)
    assert api.run(filled, "cat /d/sub/f /d/hard; ls -A /d/sub") == "new texthi\nf\ng\n"
    assert "write to that" in api.put(f"{filled}/file?path=/in", b"x", 400)["message"]
    assert "invalid mode" in api.put(f"{filled}/file?path=/x&mode=9", b"x", 400)["message"]
    assert "no file /no" in api.put(f"{filled}/file?path=/no/x", b"x", 404)["message"]


def test_a_link_in_the_way_leads_nowhere_else(api: Api, filled: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    for name, target in (("abs", str(tmp_path)), ("up", "../" * 30 + str(tmp_path)[1:])):
        (api.place(filled) / name).symlink_to(target)
        assert api.get(f"{filled}/tree?path=/{name}", 404)
        assert api.get(f"{filled}/file?path=/{name}/secret", 404)
        assert api.put(f"{filled}/file?path=/{name}/new", b"x", 404)
        api.raw("DELETE", f"{filled}/file?path=/{name}/secret", status=404)
        assert api.put(f"{filled}/import?path=/{name}", tar_of(("new", b"x")), 400)
    api.put(f"{filled}/import", tar_of(("abs/in", b"x")), 500)
    assert os.listdir(tmp_path) == ["secret"]
    (api.place(filled) / "proc").symlink_to("/proc/self/root")
    assert api.get(f"{filled}/tree?path=/proc", 400)


def test_deleting(api: Api, filled: str, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (api.place(filled) / "sub/link").symlink_to(tmp_path)
    told = api.raw("DELETE", f"{filled}/file?path=/sub", status=409)
    assert b"not empty" in told
    api.raw("DELETE", f"{filled}/file?path=/sub&recursive=1", status=204)
    api.raw("DELETE", f"{filled}/file?path=/in", status=204)
    api.raw("DELETE", f"{filled}/file?path=/in", status=404)
    api.raw("DELETE", f"{filled}/file?path=/", status=400)
    made = json.loads(api.raw("POST", f"{filled}/folder?path=/new", status=201))
    assert (made["Type"], made["Uid"], made["Gid"]) == ("directory", 70, 71)
    api.raw("POST", f"{filled}/folder?path=/new", status=409)
    api.raw("DELETE", f"{filled}/file?path=/new", status=204)
    assert "sub" not in os.listdir(api.place(filled))
    assert os.listdir(tmp_path) == ["kept"]


def test_size(api: Api, filled: str) -> None:
    found = api.get(f"{filled}/size")
    whole = 3 + len("/etc/passwd") + len("sub/f") + (20 << 20) + 2
    assert (found["Size"], found["Files"], found["Folders"]) == (whole, 7, 1)
    assert found["Stored"] < 1 << 20


def test_a_clone_is_the_same(api: Api, filled: str) -> None:
    new = api.name()
    *steps, last = api.clone(filled, new)
    assert steps[-1]["Copied"] == steps[-1]["Total"] - len("/etc/passwd") - len("sub/f")
    assert (last["Volume"]["Name"], last["Volume"]["Labels"]) == (new, {"kind": "test"})
    assert api.run(new, SHOW) == api.run(filled, SHOW)
    assert os.stat(api.place(new)).st_mtime_ns == os.stat(api.place(filled)).st_mtime_ns
    body = {"Name": new}
    assert b"exists already" in api.raw("POST", f"{filled}/clone", body, 409)
    assert b"needs a name" in api.raw("POST", f"{filled}/clone", {}, 400)
    assert b"no such volume" in api.raw("POST", "nope/clone", {"Name": "other"}, 404)


def test_a_clone_keeps_attributes_and_deep_links(api: Api, filled: str) -> None:
    place = api.place(filled)
    os.setxattr(place / "sub", "user.folder", b"\xff\0raw")
    os.setxattr(place / "hard", "user.file", b"value")
    os.setxattr(place / "hard", "trusted.own", b"t")
    new, packed = api.name(), api.name()
    api.clone(filled, new)
    api.put(f"{packed}/import", api.raw("GET", f"{filled}/export"), 201)
    for name in (new, packed):
        assert os.getxattr(api.place(name) / "sub", "user.folder") == b"\xff\0raw"
        assert os.getxattr(api.place(name) / "sub/f", "user.file") == b"value"
        assert os.getxattr(api.place(name) / "sub/f", "trusted.own") == b"t"


def test_export_and_import(api: Api, filled: str, tmp_path: Path) -> None:
    packed = api.raw("GET", f"{filled}/export")
    assert len(packed) < 1 << 20, "holes are not stored"
    (tmp_path / "x").mkdir()
    subprocess.run(["tar", "-xpf", "-", "-C", tmp_path / "x"], input=packed, check=True)
    sparse = (api.place(filled) / "sparse").read_bytes()
    assert (tmp_path / "x/sparse").read_bytes() == sparse
    plain, squeezed = api.name(), api.name()
    assert api.put(f"{plain}/import?label=a=b", packed, 201)["Labels"] == {"a": "b"}
    api.put(f"{squeezed}/import", gzip.compress(packed), 201)
    shown = api.run(filled, SHOW)
    assert api.run(plain, SHOW) == shown
    zipped = api.raw("GET", f"{filled}/export?compress=gzip")
    assert gzip.decompress(zipped) == packed
    assert "invalid compress" in api.get(f"{filled}/export?compress=rar", 400)["message"]
    assert api.run(squeezed, SHOW) == shown


def test_import_into_a_volume_that_is_there(api: Api, filled: str) -> None:
    archive = tar_of(("sub/f", b"other"), ("sub/new", b"n"))
    api.put(f"{filled}/import", archive)
    assert api.run(filled, "cat /d/sub/f /d/sub/new; stat -c %a:%u /d") == "othern750:70\n"
    api.put(f"{filled}/import?path=/sub", tar_of(("deep/er", b"d")))
    assert api.run(filled, "cat /d/sub/deep/er") == "d"
    api.put(f"{filled}/import?replace=1", archive)
    assert api.run(filled, "find /d | sort") == "/d\n/d/sub\n/d/sub/f\n/d/sub/new\n"
    api.engine.docker("run", "-d", "--name", filled, "-v", f"{filled}:/d", "busybox", "sleep", "99")
    try:
        assert "is in use" in api.put(f"{filled}/import?replace=1", archive, 409)["message"]
    finally:
        api.engine.docker("rm", "-f", filled)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"no tar at all" * 100, "Error processing tar file"),
        (gzip.compress(b"x" * 9999)[:-20], "damaged compressed data"),
        (tar_of(("file", b"x" * 5000))[:2000], "unexpected end of the tar stream"),
    ],
)
def test_what_is_no_tar_leaves_no_volume(api: Api, archive: bytes, message: str) -> None:
    name = api.name()
    assert message in api.put(f"{name}/import", archive, 400)["message"]
    assert api.get(f"{name}/tree", 404)


def test_a_tar_stays_in_its_volume(api: Api, tmp_path: Path) -> None:
    """Names that climb out, and a link of the tar with files behind it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarfile.TarInfo("way")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    hard = tarfile.TarInfo("hard")
    hard.type, hard.linkname = tarfile.LNKTYPE, "../" * 20 + "etc/hostname"
    name = api.name()
    climbing = tar_of((f"../../{'../' * 20}{str(outside)[1:]}/a", b"x"))
    api.put(f"{name}/import", climbing, 201)
    assert (api.place(name) / str(outside)[1:] / "a").read_text() == "x"
    for members in ((link, ("way/b", b"x")), (hard,)):
        other = api.name()
        api.put(f"{other}/import", tar_of(*members), 500)
        assert api.get(f"{other}/tree", 404)
    assert os.listdir(outside) == []


def test_a_volume_with_a_mount_of_its_own(api: Api, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    name, clone = api.name(), api.name()
    api.engine.docker(
        "volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", name
    )
    assert api.raw("GET", f"{name}/file?path=/file") == b"bound"
    api.put(f"{name}/file?path=/more", b"x")
    assert sorted(os.listdir(tmp_path)) == ["file", "more"]
    assert api.get(f"{name}/size")["Size"] == 6
    assert api.clone(name, clone)[-1]["Volume"]["Options"] is None
    assert api.run(clone, "cat /d/file") == "bound"
    api.put(f"{name}/import?replace=1", tar_of(("new", b"n")))
    assert os.listdir(tmp_path) == ["new"]
    assert not (api.place(name) / "new").exists(), "it is mounted no longer than needed"
    missing = api.name()
    api.engine.docker(
        "volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/not/there", missing
    )
    assert "failed to mount local volume" in api.get(f"{missing}/tree", 500)["message"]
