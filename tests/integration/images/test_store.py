"""Load, save, import, tag, remove, prune and crashes, with the real docker CLI."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tests.support.archives import archive_of, config_of, digest, docker_archive, layout_of, tar_of
from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root

LAYERS = [tar_of({"etc/one": b"1"}), tar_of({"etc/two": b"2", ".wh.gone": b""})]
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


@pytest.fixture(scope="module")
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


def inspect(engine: NativeEngine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(engine.docker("inspect", name).stdout)[0]
    return found


def stored(engine: NativeEngine) -> tuple[list[str], list[str]]:
    blobs = sorted(path.name for path in (engine.root / "content/blobs/sha256").iterdir())
    return blobs, sorted(path.name for path in (engine.root / "layers").iterdir())


@pytest.mark.parametrize(
    "archive",
    [
        archive_of("loaded:v1", LAYERS),
        gzip.compress(archive_of("loaded:v1", LAYERS, packed=True)),
        zstandard.compress(archive_of("loaded:v1", LAYERS)),
        layout_of(LAYERS, ["docker.io/library/loaded:v1"]),
        layout_of(LAYERS, ["loaded:v1"], media_type=ZSTD, pack=zstandard.compress),
    ],
    ids=["docker", "gzip", "zstd", "oci", "oci-zstd"],
)
def test_load(engine: NativeEngine, archive: bytes) -> None:
    before = stored(engine)
    assert engine.docker("load", input=archive).stdout == "Loaded image: loaded:v1\n"
    found = inspect(engine, "loaded:v1")
    assert found["Id"] == f"sha256:{digest(config_of(LAYERS))}"
    assert found["RootFS"] == {
        "Type": "layers",
        "Layers": [f"sha256:{digest(layer)}" for layer in LAYERS],
    }
    history = engine.docker("history", "--format", "{{.CreatedBy}} {{.Size}}", "loaded:v1").stdout
    assert history == "ADD layer 1 1B\nADD layer 0 1B\n"
    out = engine.docker("rmi", "loaded:v1").stdout.splitlines()
    assert out[0] == "Untagged: loaded:v1"
    assert out[1] == f"Deleted: sha256:{digest(config_of(LAYERS))}"
    assert len(out) == 4 and stored(engine) == before


def test_a_layout_without_a_name(engine: NativeEngine) -> None:
    out = engine.docker("load", input=layout_of(LAYERS)).stdout
    image = f"sha256:{digest(config_of(LAYERS))}"
    assert out == f"Loaded image ID: {image}\n"
    listed = engine.docker("images", "-qf", "dangling=true", "--no-trunc").stdout
    assert listed == image + "\n"
    pruned = engine.docker("image", "prune", "-f").stdout
    assert f"deleted: {image}" in pruned and "Total reclaimed space: 2B" in pruned
    assert engine.docker("images", "-qf", "dangling=true").stdout == ""


def test_umoci_and_skopeo_layouts(engine: NativeEngine, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    subprocess.run(["umoci", "init", "--layout", layout], check=True, capture_output=True)
    subprocess.run(["umoci", "new", "--image", f"{layout}:app"], check=True, capture_output=True)
    (tmp_path / "file").write_text("from umoci")
    subprocess.run(
        ["umoci", "insert", "--image", f"{layout}:app", tmp_path / "file", "/file"],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{layout}:app", f"oci-archive:{tmp_path}/a.tar:umoci/app:1"],
        check=True,
    )
    out = engine.docker("load", "-i", str(tmp_path / "a.tar")).stdout
    assert out == "Loaded image: umoci/app:1\n"
    saved = engine.docker("save", "-o", str(tmp_path / "s.tar"), "umoci/app:1")
    assert saved.stderr == ""
    for kind in ("docker-archive", "oci-archive"):
        found = subprocess.run(
            ["skopeo", "inspect", "--config", f"{kind}:{tmp_path}/s.tar"],
            capture_output=True,
            check=True,
        )
        assert json.loads(found.stdout)["rootfs"] == {
            "type": "layers",
            "diff_ids": inspect(engine, "umoci/app:1")["RootFS"]["Layers"],  # type: ignore[index]
        }
    engine.docker("rmi", "umoci/app:1")


def test_save_gives_layers_byte_by_byte(engine: NativeEngine, tmp_path: Path) -> None:
    engine.docker("load", "-q", input=archive_of("saved:a", LAYERS, packed=True))
    engine.docker("tag", "saved:a", "saved:b")
    engine.docker("save", "-o", str(tmp_path / "s.tar"), "saved", "busybox")
    with tarfile.open(tmp_path / "s.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        for layer in LAYERS:
            member = tar.extractfile(f"blobs/sha256/{digest(layer)}")
            assert member is not None and member.read() == layer
    assert len(names) == len(set(names))
    assert [each["RepoTags"] for each in manifest] == [["saved:a", "saved:b"], ["busybox:latest"]]
    engine.docker("rmi", "saved:a", "saved:b")
    out = engine.docker("load", "-i", str(tmp_path / "s.tar")).stdout
    assert out.splitlines() == [
        "Loaded image: saved:a",
        "Loaded image: saved:b",
        "Loaded image: busybox:latest",
    ]
    engine.docker("rmi", "saved:a", "saved:b")


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"no tar at all" * 100, "invalid archive"),
        (tar_of({"other": b"x"}), "neither manifest.json"),
        (archive_of("cut:1", LAYERS)[:3000], "invalid archive"),
        (tar_of({"manifest.json": b"[{"}), "manifest.json is no JSON"),
        (
            tar_of({"manifest.json": b'[{"Config": "../../etc/passwd", "Layers": []}]'}),
            "invalid archive: no ",
        ),
        (
            archive_of("evil:1", [tar_of({"../../evil": b"x"})]),
            "points outside of the layer",
        ),
        (
            archive_of("other:1", LAYERS).replace(b"etc/two", b"etc/owt"),
            "layer verification failed",
        ),
    ],
)
def test_bad_archives(engine: NativeEngine, archive: bytes, message: str) -> None:
    before = stored(engine)
    done = engine.docker("load", input=archive, check=False)
    assert done.returncode == 1 and message in done.stderr
    assert stored(engine) == before


def test_import(engine: NativeEngine) -> None:
    flags = ["-c", "ENV A=b", "-c", 'CMD ["sh"]', "-m", "note", "--platform", "linux/arm64"]
    engine.docker("import", *flags, "-", "imported:x", input=gzip.compress(LAYERS[0]))
    found = inspect(engine, "imported:x")
    config = {name: value for name, value in found["Config"].items() if value}
    assert config == {"Env": ["A=b"], "Cmd": ["sh"]}
    assert (found["Architecture"], found["Comment"]) == ("arm64", "note")
    done = engine.docker("import", "-c", "RUN x", "-", "bad", input=LAYERS[0], check=False)
    assert "RUN is not a valid change command" in done.stderr
    done = engine.docker("import", "-", "bad", input=b"x" * 2000, check=False)
    assert "invalid layer" in done.stderr
    engine.docker("rmi", "imported:x")


def test_removing_what_is_in_use(engine: NativeEngine) -> None:
    engine.docker("tag", "busybox", "used:1")
    engine.docker("tag", "busybox", "used:2")
    image = str(inspect(engine, "busybox")["Id"])
    short = image.removeprefix("sha256:")[:12]
    container = engine.docker("create", "used:1", "true").stdout.strip()
    try:
        done = engine.docker("rmi", short, check=False)
        assert (
            f"conflict: unable to delete {short} (must be forced) - "
            "image is referenced in multiple repositories" in done.stderr
        )
        assert engine.docker("rmi", "used:1", "used:2").stdout.count("Untagged") == 2
        done = engine.docker("rmi", "busybox", check=False)
        assert (
            'conflict: unable to remove repository reference "busybox" (must force) - '
            f"container {container[:12]} is using its referenced image {short}" in done.stderr
        )
        done = engine.docker("rmi", short, check=False)
        assert (
            f"conflict: unable to delete {short} (must be forced) - "
            f"image is being used by stopped container {container[:12]}" in done.stderr
        )
    finally:
        engine.docker("rm", container)


def test_a_forced_removal_leaves_the_containers_layers(engine: NativeEngine) -> None:
    engine.docker("load", "-q", input=archive_of("forced:1", LAYERS))
    before_layers = stored(engine)[1]
    container = engine.docker("create", "forced:1", "true").stdout.strip()
    engine.docker("rmi", "-f", "forced:1")
    assert stored(engine)[1] == before_layers
    assert engine.docker("images", "-q", "forced").stdout == ""
    engine.docker("rm", container)
    assert len(stored(engine)[1]) == len(before_layers) - 2


def test_lookups(engine: NativeEngine) -> None:
    image = str(inspect(engine, "busybox")["Id"])
    for name in (image, image.removeprefix("sha256:"), image[7:19], "docker.io/library/busybox"):
        assert inspect(engine, name)["Id"] == image
    done = engine.docker("image", "inspect", "nope", check=False)
    assert "No such image: nope:latest" in done.stderr
    done = engine.docker("tag", "busybox", "Upper", check=False)
    assert "must be lowercase" in done.stderr
    client = engine.client()
    try:
        assert client.images.get("busybox").id == image
        (listed,) = [each for each in client.images.list() if each.id == image]
        assert listed.tags == ["busybox:latest"]
        assert client.images.get("busybox").history()[0]["Comment"] == "Imported from -"
        saved = b"".join(client.images.get("busybox").save(named=True))
        assert [each.id for each in client.images.load(saved)] == [image]
    finally:
        client.close()


def test_events(engine: NativeEngine) -> None:
    before = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True).stdout.strip()
    engine.docker("load", "-q", input=archive_of("eventful:1", LAYERS))
    engine.docker("tag", "eventful:1", "eventful:2")
    engine.docker("rmi", "eventful:1", "eventful:2")
    engine.docker("image", "prune", "-f")
    now = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True).stdout.strip()
    form = '{{.Action}} {{index .Actor.Attributes "name"}}'
    out = engine.docker(
        "events", "--since", before, "--until", now, "--filter", "type=image", "--format", form
    ).stdout
    image = f"sha256:{digest(config_of(LAYERS))}"
    assert [line.strip() for line in out.splitlines()] == [
        f"load {image}",
        "tag eventful:2",
        f"untag {image}",
        f"untag {image}",
        f"delete {image}",
        "prune",
    ]


def shell(engine: NativeEngine, image: str, script: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout


def busybox_layer() -> bytes:
    path = shutil.which("busybox")
    assert path is not None
    links = {f"bin/{name}": "busybox" for name in ("sh", "cat", "ls", "wc")}
    return tar_of({"bin/busybox": Path(path).read_bytes()}, links)


def test_layers_lie_on_each_other(engine: NativeEngine) -> None:
    """Keep 1, override 2, add 3, hide 4, replace a whole folder."""
    base = tar_of({"d/1": b"1", "d/2": b"2a", "d/4": b"4", "o/old": b"x", "w/x": b"x"})
    top = tar_of({"d/2": b"2b", "d/3": b"3", "d/.wh.4": b"", "o/.wh..wh..opq": b"", "o/new": b"",
                  ".wh.w": b""})  # fmt: skip
    engine.docker("load", "-q", input=archive_of("union:1", [busybox_layer(), base, top]))
    assert shell(engine, "union:1", "cat d/1 d/2 d/3; ls d o; ls w 2>/dev/null || echo gone") == (
        "12b3d:\n1\n2\n3\n\no:\nnew\ngone\n"
    )
    engine.docker("rmi", "union:1")


def test_a_hundred_and_twenty_layers(engine: NativeEngine) -> None:
    layers = [tar_of({f"n/{number}": b"x"}) for number in range(120)]
    engine.docker("load", "-q", input=archive_of("many:1", [busybox_layer(), *layers]))
    assert shell(engine, "many:1", "ls n | wc -l") == "120\n"
    engine.docker("rmi", "many:1")


def test_the_store_survives_kill_and_machine_crash(engine: NativeEngine) -> None:
    engine.docker("load", "-q", input=archive_of("crash:1", [busybox_layer(), *LAYERS]))
    before = stored(engine)
    engine.restart(kill=True)
    assert stored(engine) == before
    assert shell(engine, "crash:1", "cat etc/one etc/two") == "12"
    # as after a loss of power: nothing is known to be on disk, and files came back empty
    for folder in (engine.root / "layers").iterdir():
        record = folder / "layer.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "another"}))
        (folder / "synced").unlink(missing_ok=True)
        for name in ("etc/one", "bin/busybox"):
            if (folder / "diff" / name).exists():
                (folder / "diff" / name).write_bytes(b"")
    (engine.root / "layers/.new-1-1/diff").mkdir(parents=True)
    engine.restart(kill=True)
    assert shell(engine, "crash:1", "cat etc/one etc/two") == "12"
    assert not list((engine.root / "layers").glob(".new*"))
    engine.docker("rmi", "crash:1")


def test_welcome_is_loaded_once(tmp_path: Path) -> None:
    archive = tmp_path / "welcome.tar"
    archive.write_bytes(archive_of("cove/welcome:latest", LAYERS))
    engine = new_engine("--welcome", str(archive))
    try:
        engine.start()
        assert engine.docker("images", "--format", "{{.Repository}}").stdout == "cove/welcome\n"
        engine.docker("rmi", "cove/welcome")
        engine.restart()
        assert engine.docker("images", "-q").stdout == ""
        # a name that is never asked of a registry
        said = engine.docker("pull", "cove/welcome").stdout
        assert "Status: Downloaded newer image for cove/welcome:latest" in said
        assert engine.docker("images", "--format", "{{.Repository}}").stdout == "cove/welcome\n"
        assert "up to date" in engine.docker("pull", "cove/welcome").stdout
        engine.docker("system", "prune", "-af")
        assert engine.docker("create", "cove/welcome", "x").returncode == 0
    finally:
        engine.clean()


def test_a_full_disk(tmp_path: Path) -> None:
    """The load fails with the sizes, nothing half-made stays, and smaller images still go in."""
    engine = new_engine()
    engine.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", engine.root], check=True)
    try:
        engine.start()
        done = engine.docker("load", input=docker_archive("full:1", 3, 9), check=False)
        assert done.returncode == 1
        assert "no space left on device: " in done.stderr and "of 24 MiB are free" in done.stderr
        assert stored(engine) == ([], [])
        engine.docker("load", input=archive_of("small:1", LAYERS))
    finally:
        engine.stop()
        subprocess.run(["umount", "-l", engine.root], check=True)
        engine.clean()


def test_system_df(engine: NativeEngine) -> None:
    client = engine.client()
    try:
        usage = client.df()
    finally:
        client.close()
    assert usage["LayersSize"] == sum(image["Size"] for image in usage["Images"])


def test_reading_is_bounded(engine: NativeEngine) -> None:
    """A load of 120 MB of zeros, packed to a few kilobytes, stays small in memory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 120 << 20
        with open("/dev/zero", "rb") as zeros:
            tar.addfile(info, zeros)
    layer = out.getvalue()
    status = Path(f"/proc/{engine.process.pid}/status")  # type: ignore[union-attr]

    def resident() -> int:
        line = next(each for each in status.read_text().splitlines() if "VmHWM" in each)
        return int(line.split()[1])

    before = resident()
    engine.docker("load", "-q", input=gzip.compress(archive_of("zeros:1", [layer], packed=True)))
    assert resident() - before < 60 << 10
    engine.docker("rmi", "zeros:1")
    assert os.path.exists(engine.root)
