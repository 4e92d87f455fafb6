"""Random contexts: nothing outside is touched, and no digest is another file's."""

from __future__ import annotations

import hashlib
import io
import os
import random
import tarfile
from pathlib import Path

from engine.builder.context import Context, unpack
from engine.builder.tree import Tree, digest
from engine.errors import BadRequest

_ROUNDS = int(os.environ.get("COVE_FUZZ") or 150)
_PARTS = ["a", "b", "c", "..", ".", "", "/", ".wh.a", "é"]
_TARGETS = ["a", "b", "../..", "/", "/a", "../b", ".", "a/b", "c"]
_KINDS = [tarfile.REGTYPE] * 5 + [tarfile.DIRTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE] + [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
]  # fmt: skip


def random_tar(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for _ in range(chance.randrange(1, 14)):
            name = "/".join(chance.choice(_PARTS) for _ in range(chance.randrange(1, 4)))
            info = tarfile.TarInfo(name or "a")
            info.type = chance.choice(_KINDS)
            info.mode = 0o755
            content = b""
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = chance.choice(_TARGETS)
            elif info.type == tarfile.REGTYPE:
                content = chance.choice([b"", b"one", b"two", b"three" * 200])
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    raw = out.getvalue()
    return raw[: chance.randrange(len(raw))] if chance.random() < 0.1 else raw


def check(context: Context) -> None:
    """Every digest that is known is that of the plain file of its very name."""
    for name, known in context.digests.items():
        place = context.root
        for part in name.split("/")[:-1]:
            place /= part
            if place.is_symlink() or not place.is_dir():
                break  # nobody can ask for it: a walk knows no such folder
        else:
            place = context.root / name
            if place.is_symlink() or not place.is_file():
                continue
            assert hashlib.sha256(place.read_bytes()).hexdigest() == known, name


def test_contexts_at_random(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    unpacked = 0
    for seed in range(_ROUNDS):
        root = tmp_path / f"{seed}" / "root"
        root.mkdir(parents=True)
        try:
            context = unpack(io.BytesIO(random_tar(random.Random(seed))).read, root)
        except BadRequest:
            continue
        unpacked += 1
        check(context)
        tree = Tree(os.open(root, os.O_PATH | os.O_DIRECTORY), context.digests)
        bare = Tree(os.open(root, os.O_PATH | os.O_DIRECTORY))
        try:
            found = list(tree.items("", None, None))
            assert digest(found) == digest(list(bare.items("", None, None)))
            for each in ("a", "b/c", "../a", "a/../../outside"):
                try:
                    path = tree.resolve(each)
                except OSError:
                    continue  # links in a ring
                assert not path.startswith(("/", "..")) and "/../" not in path
        finally:
            tree.close()
            bare.close()
        assert [path.name for path in root.parent.iterdir()] == ["root"]
    assert unpacked > _ROUNDS // 10
    assert outside.read_text() == "untouched"
