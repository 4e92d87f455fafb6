"""Volumes through the docker CLI."""

import json

import pytest

pytestmark = pytest.mark.root


def inspect(engine, name: str) -> dict:
    return json.loads(engine.docker("volume", "inspect", name).stdout)[0]


def test_life_of_a_named_volume(native_engine):
    docker = native_engine.docker
    assert docker("volume", "create", "--label", "a=b", "named").stdout == "named\n"
    try:
        shown = inspect(native_engine, "named")
        assert shown["Driver"] == "local"
        assert shown["Labels"] == {"a": "b"}
        assert shown["Mountpoint"] == f"{native_engine.root}/volumes/named/_data"
        docker("run", "--rm", "-v", "named:/d", "busybox", "sh", "-c", "echo hello >/d/file")
        assert docker("run", "--rm", "-v", "named:/d:ro", "busybox", "cat", "/d/file").stdout == (
            "hello\n"
        )
        assert "named" in docker("volume", "ls", "-q", "-f", "label=a=b").stdout
    finally:
        docker("volume", "rm", "named")
    done = docker("volume", "inspect", "named", check=False)
    assert "get named: no such volume" in done.stderr


def test_in_use(native_engine):
    docker = native_engine.docker
    docker("run", "-d", "--name", "user", "-v", "taken:/d", "busybox", "sleep", "600")
    try:
        identity = docker("inspect", "-f", "{{.Id}}", "user").stdout.strip()
        done = docker("volume", "rm", "-f", "taken", check=False)
        assert done.returncode == 1
        assert f"remove taken: volume is in use - [{identity}]" in done.stderr
        docker("stop", "-t", "0", "user")
        assert docker("volume", "rm", "taken", check=False).returncode == 1
    finally:
        docker("rm", "-f", "user")
        docker("volume", "rm", "-f", "taken")


def test_anonymous_volume_goes_with_its_container(native_engine):
    docker = native_engine.docker
    docker("create", "--name", "anon", "-v", "/d", "busybox")
    name = docker("inspect", "-f", "{{(index .Mounts 0).Name}}", "anon").stdout.strip()
    assert len(name) == 64
    assert "com.docker.volume.anonymous" in inspect(native_engine, name)["Labels"]
    docker("rm", "-v", "anon")
    assert docker("volume", "inspect", name, check=False).returncode == 1


def test_prune_leaves_named_ones(native_engine):
    docker = native_engine.docker
    docker("volume", "create", "stays")
    anonymous = docker("volume", "create").stdout.strip()
    try:
        assert anonymous in docker("volume", "prune", "-f").stdout
        assert inspect(native_engine, "stays")
        assert "stays" in docker("volume", "prune", "-af").stdout
    finally:
        docker("volume", "rm", "-f", "stays", anonymous)


def test_tmpfs_volume(native_engine):
    docker = native_engine.docker
    docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "small")
    try:
        done = docker(
            "run", "--rm", "-v", "small:/t", "busybox",
            "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=2", check=False,
        )  # fmt: skip
        assert "No space left on device" in done.stderr
    finally:
        docker("volume", "rm", "-f", "small")


def test_bind_volume(native_engine, tmp_path):
    docker = native_engine.docker
    (tmp_path / "file").write_text("from the host\n")
    docker("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind", "bb")
    try:
        done = docker("run", "--rm", "-v", "bb:/d", "busybox", "cat", "/d/file")
        assert done.stdout == "from the host\n"
    finally:
        docker("volume", "rm", "-f", "bb")
    assert (tmp_path / "file").exists()


def test_a_read_only_mount_stays_so(native_engine, tmp_path):
    docker = native_engine.docker
    (tmp_path / "file").write_text("x")
    options = ("-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro")
    docker("volume", "create", *options, "roro")
    try:
        for flags in ("roro:/d", "roro:/d:ro"):
            done = docker("run", "--rm", "-v", flags, "busybox", "touch", "/d/new", check=False)
            assert (done.returncode, done.stderr) == (1, "touch: /d/new: Read-only file system\n")
    finally:
        docker("volume", "rm", "-f", "roro")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_anonymous_volume_goes_with_its_last_container(native_engine):
    docker = native_engine.docker
    docker("create", "--name", "first", "-v", "/d", "busybox")
    docker("create", "--name", "second", "--volumes-from", "first", "busybox")
    name = docker("inspect", "-f", "{{(index .Mounts 0).Name}}", "first").stdout.strip()
    docker("rm", "-v", "first")
    assert inspect(native_engine, name)
    docker("rm", "-v", "second")
    assert docker("volume", "inspect", name, check=False).returncode == 1


def test_a_cluster_volume_is_refused(native_engine):
    done = native_engine.docker("volume", "create", "--scope", "single", "cluster", check=False)
    assert done.returncode == 1
    assert "This node is not a swarm manager" in done.stderr


def test_device_that_is_not_there(native_engine):
    docker = native_engine.docker
    docker("volume", "create", "-o", "type=none", "-o", "device=/not/there", "-o", "o=bind", "no")
    try:
        done = docker("run", "--rm", "-v", "no:/d", "busybox", "true", check=False)
        assert done.returncode == 127  # the CLI's own reading of the last words below
        assert "failed to mount local volume" in done.stderr
        assert "no such file or directory" in done.stderr
    finally:
        docker("volume", "rm", "-f", "no")


def test_image_content_is_copied_into_a_new_volume(native_engine):
    docker = native_engine.docker
    try:
        listed = docker("run", "--rm", "-v", "filled:/etc", "busybox", "ls", "/etc").stdout
        assert "passwd" in listed
        again = docker("run", "--rm", "-v", "filled:/x", "busybox", "cat", "/x/passwd").stdout
        assert again.startswith("root:")
    finally:
        docker("volume", "rm", "-f", "filled")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "volume name is too short"),
        (["a b"], "includes invalid characters for a local volume name"),
        (["-d", "nope", "vv"], 'plugin "nope" not found'),
        (["-o", "what=x", "vv"], 'create vv: invalid option: "what"'),
    ],
)
def test_refusals(native_engine, arguments, message):
    done = native_engine.docker("volume", "create", *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
