"""Instructions with their forms and flags, as what they leave in the image shows."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import io
import lzma
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.builder.conftest import Builds
from tests.support.archives import tar_of

pytestmark = pytest.mark.root


def test_heredocs(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nCOPY <<one <<-two /h/\nfirst $PATH\none\n\tsecond\ntwo\n"
        "RUN <<E\necho $0\ncat /h/one /h/two\nE\n"
    )
    assert said.splitlines() == [
        "/bin/sh",
        "first /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "second",
    ]
    script = builds.output("FROM busybox\nRUN <<E\n#!/bin/cat\nthe text itself\nE\n")
    assert script.splitlines() == ["#!/bin/cat", "the text itself"]


def test_shell_and_exec_form(builds: Builds) -> None:
    said = builds.run(
        'FROM busybox\nSHELL ["/bin/sh","-exc"]\nRUN : $((1+1))\nRUN ["echo","$HOME"]\n'
    ).stdout
    # the shell may write its "+ " apart from the rest, each with the colour of errors
    plain = said.replace("\x1b[91m", "").replace("\x1b[0m", "")
    assert "+ : 2" in plain and "\n$HOME\n" in plain


def test_environment_user_and_folder_of_a_run(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nRUN echo 'bob:x:1234:5678::/home/bob:/bin/sh' >> /etc/passwd\n"
        "ENV A=1\nARG B=2\nWORKDIR /somewhere/new\nUSER bob\n"
        "RUN echo $A $B $HOME $(pwd) $(id -u):$(id -g)\n"
    )
    assert said == "1 2 /home/bob /somewhere/new 1234:5678"


def test_a_run_is_confined_as_containers_are(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nRUN grep -e CapEff -e Seccomp: /proc/self/status; "
        "mount -t tmpfs none /tmp 2>&1; ls /sys/firmware\n"
    ).splitlines()
    assert said[:2] == ["CapEff:\t00000000a80425fb", "Seccomp:\t2"]
    assert "permission denied" in said[2]
    assert len(said) == 3


def test_cache_mounts_last(builds: Builds) -> None:
    dockerfile = (
        "FROM busybox\nARG N\n"
        "RUN --mount=type=cache,target=/c/d,uid=5,mode=0711 echo $N >> /c/d/log; "
        "stat -c '%u %a' /c/d; cat /c/d/log\nRUN ls / | grep -c '^c$'\n"
    )
    assert builds.failure(dockerfile, "--build-arg", "N=1")  # nothing of /c is in the image
    said = builds.run(dockerfile, "--build-arg", "N=2", check=False).stdout
    assert "5 711\n1\n2\n" in said
    rows = builds.engine.docker("system", "df", "-v", "--format", "{{json .BuildCache}}").stdout
    assert "exec.cachemount" in rows


def test_bind_mounts_of_context_stage_and_image(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox AS other\nRUN mkdir /o && echo stage > /o/f\nFROM busybox\n"
        "RUN --mount=target=/ctx --mount=from=other,source=/o,target=/m/n "
        "--mount=from=busybox,source=/bin/busybox,target=/bb "
        "--mount=source=d,target=/rw,rw "
        "cat /ctx/a /m/n/f; test -x /bb && echo image; touch /ctx/no 2>&1; "
        "echo new > /rw/new; cat /rw/new\n",
        files={"a": "context\n", "d/x": ""},
    ).splitlines()
    assert said[:3] == ["context", "stage", "image"]
    assert "Read-only file system" in said[3] and said[4] == "new"
    assert not (builds.folder / "d/new").exists()
    left = builds.output(
        "FROM busybox\nRUN --mount=target=/ctx true\nRUN ls -d /ctx 2>&1 || true\n"
    )
    assert "No such file" in left


def test_tmpfs_mounts_and_networks(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m --network=none "
        "df -k /t | tail -1 | awk '{print $2}'; ip -o -4 addr | grep -c eth0; true\n"
    )
    assert said.splitlines() == ["1024", "0"]
    host = builds.output("FROM busybox\nRUN --network=host readlink /proc/self/ns/net\n")
    assert host == os.readlink("/proc/self/ns/net")


def test_names_addresses_and_limits(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nRUN grep extra /etc/hosts; df -k /dev/shm | tail -1 | awk '{print $2}'; "
        "ulimit -n; cat /sys/fs/cgroup/memory/memory.limit_in_bytes "
        "/sys/fs/cgroup/memory.max 2>/dev/null; true\n",
        "--add-host", "extra:1.2.3.4", "--shm-size", "8m", "--ulimit", "nofile=77:88",
        "--memory", "64m", "--no-cache",
    )  # fmt: skip
    assert said.splitlines() == ["1.2.3.4\textra", "8192", "77", str(64 << 20)]


def test_a_container_s_network_is_joined(builds: Builds) -> None:
    engine = builds.engine
    name = engine.docker("run", "-d", "busybox", "sleep", "60").stdout.strip()
    try:
        wanted = engine.docker("exec", name, "readlink", "/proc/self/ns/net").stdout
        said = builds.output(
            "FROM busybox\nRUN readlink /proc/self/ns/net\n", "--network", f"container:{name}"
        )
        assert said == wanted.strip()
    finally:
        engine.docker("rm", "-f", name)


def test_names_of_a_user_network(builds: Builds) -> None:
    engine = builds.engine
    engine.docker("network", "create", "buildnet")
    try:
        engine.docker(
            "run", "-d", "--name", "peer", "--network", "buildnet", "busybox", "sleep", "60"
        )
        said = builds.output(
            "FROM busybox\nRUN nslookup peer 2>&1 | grep -A1 peer\n",
            "--network",
            "buildnet",
            "--no-cache",
        )
        assert "Address" in said
    finally:
        engine.docker("rm", "-f", "peer", check=False)
        engine.docker("network", "rm", "buildnet")


def test_copy_flags(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\n"
        "RUN echo 'bob:x:1234:5678::/:/bin/sh' >> /etc/passwd && ln -s /elsewhere /link\n"
        "COPY --chown=bob --chmod=u=rwX,go=r a /one\n"
        "COPY --chown=7:8 --chmod=0640 d /two\n"
        "COPY --parents d/./x d/sub/y /par/\nCOPY --parents **/sub/* /deep/\n"
        "COPY --exclude=*.md --exclude=sub d /exc\n"
        "COPY --link a /link/a\n"
        "RUN stat -c '%n %u:%g %a' /one /two /two/x; find /par /deep /exc /link/a -type f | sort\n",
        files={"a": "", "d/x": "", "d/sub/y": "", "d/r.md": ""},
    )
    assert said.splitlines() == [
        "/one 1234:5678 644",
        "/two 7:8 640",
        "/two/x 7:8 640",
        "/deep/d/sub/y",
        "/exc/x",
        "/link/a",
        "/par/d/sub/y",
        "/par/x",
    ]


def test_what_a_stage_owns_stays_its_own(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox AS one\nRUN mkdir /s && echo 1 > /s/f && chown 3:4 /s/f && "
        "ln /s/f /s/g && ln -s f /s/l\nFROM busybox\nCOPY --from=one /s /d\n"
        "RUN stat -c '%u:%g %h' /d/f; readlink /d/l\n"
    )
    assert said.splitlines() == ["3:4 2", "f"]


def test_archives_are_unpacked_by_add_alone(builds: Builds) -> None:
    inner = tar_of({"d/f": b"inner", "top": b"t"}, {"link": "d/f"})
    builds.folder.joinpath("x.tar.gz").write_bytes(gzip.compress(inner))
    builds.folder.joinpath("y.tar.xz").write_bytes(lzma.compress(inner))
    builds.folder.joinpath("text.gz").write_bytes(gzip.compress(b"text"))
    said = builds.output(
        "FROM busybox\nRUN mkdir /real && ln -s /real /alias\nADD x.tar.gz /to/\n"
        "ADD y.tar.xz /alias\nCOPY x.tar.gz /raw/\nADD text.gz /p/\n"
        "RUN find /to /real /raw /p -type f -o -type l | sort; cat /real/d/f; echo\n"
    )
    assert said.splitlines() == [
        "/p/text.gz", "/raw/x.tar.gz", "/real/d/f", "/real/link", "/real/top",
        "/to/d/f", "/to/link", "/to/top", "inner",
    ]  # fmt: skip


def test_a_hostile_archive_stays_inside(builds: Builds, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("l")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../../../../../../var/tmp"
        tar.addfile(link)
        file = tarfile.TarInfo("l/cove-builder-escaped")
        file.size = 1
        tar.addfile(file, io.BytesIO(b"x"))
    builds.folder.joinpath("x.tar").write_bytes(out.getvalue())
    said = builds.output("FROM busybox\nADD x.tar /to/\nRUN find /var/tmp -type f\n")
    assert said == "/var/tmp/cove-builder-escaped"
    assert not Path("/var/tmp/cove-builder-escaped").exists()
    climbing = tar_of({"../../out": b"x"})
    builds.folder.joinpath("x.tar").write_bytes(climbing)
    assert "points outside" in builds.failure("FROM busybox\nADD x.tar /to/\n")


def test_links_in_the_context_lead_nowhere(builds: Builds) -> None:
    builds.write("FROM busybox\nCOPY etc/passwd /stolen\n")
    (builds.folder / "etc").symlink_to("../../../../../../../../etc")
    done = builds.engine.docker("build", str(builds.folder), check=False)
    assert "COPY failed: etc/passwd: too many levels of symbolic links" in done.stderr
    (builds.folder / "etc").unlink()
    (builds.folder / "etc").symlink_to("/usr")
    done = builds.engine.docker("build", str(builds.folder), check=False)
    assert "file not found in build context" in done.stderr


def test_ignored_files_are_not_there(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nCOPY . /c\nRUN cd /c && find . -type f | sort\n",
        files={".dockerignore": "*.log\n!keep.log\n.dockerignore\n", "a.log": "", "keep.log": ""},
    )
    assert said.splitlines() == ["./Dockerfile", "./keep.log"]
    builds.write("FROM busybox\nCOPY . /c\nRUN ls /c\n")
    (builds.folder / "Other").write_text("FROM busybox\nCOPY . /c\nRUN ls /c\n")
    (builds.folder / "Other.dockerignore").write_text("keep.log\nDockerfile\nOther*\n")
    (builds.folder / ".dockerignore").unlink()
    said = builds.engine.docker("build", "-f", str(builds.folder / "Other"), str(builds.folder))
    assert "a.log" in said.stdout and "keep.log" not in said.stdout


def test_changes_to_a_volume_are_lost(builds: Builds) -> None:
    said = builds.output(
        "FROM busybox\nRUN mkdir /v && echo 1 > /v/a\nVOLUME /v\nRUN echo 2 > /v/b; ls /v\n"
        "COPY x /v/c\nRUN ls /v\n",
        files={"x": ""},
    )
    assert said.split() == ["a", "c"]


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the URL that serves it."""
    folder = tmp_path_factory.mktemp("web")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


SUM = "sha256:" + "a" * 64


def test_add_of_urls(builds: Builds, web: tuple[Path, str]) -> None:
    import hashlib

    folder, url = web
    (folder / "file").write_text("from the web")
    os.utime(folder / "file", (1500000000, 1500000000))
    digest = "sha256:" + hashlib.sha256(b"from the web").hexdigest()
    said = builds.output(
        f"FROM busybox\nADD --checksum={digest} {url}/file /to/\nADD {url}/file /named\n"
        "RUN cat /to/file; stat -c ' %a %Y' /named\n"
    )
    assert said == "from the web 600 1500000000"
    (folder / "file").rename(folder / "moved")
    known = builds.run(f"FROM busybox\nADD --checksum={digest} {url}/file /to/\n").stdout
    assert "Using cache" in known  # a file of a known sum isn't fetched again
    (folder / "moved").rename(folder / "file")
    wrong = builds.failure(f"FROM busybox\nADD --checksum={SUM} {url}/file /x\n")
    assert "digest mismatch" in wrong
    assert "status 404" in builds.failure(f"FROM busybox\nADD {url}/none /x\n")
    (folder / "x.tar").write_bytes(tar_of({"in": b"tar"}))
    tars = f"FROM busybox\nADD {url}/x.tar /raw/\nADD --unpack=true {url}/x.tar /out/\n"
    assert builds.output(tars + "RUN ls /raw /out\n").split() == ["/out:", "in", "/raw:", "x.tar"]


def test_contexts_from_elsewhere(builds: Builds, web: tuple[Path, str]) -> None:
    folder, url = web
    (folder / "c.tar.gz").write_bytes(
        gzip.compress(tar_of({"Dockerfile": b"FROM busybox\nCOPY a /a\nRUN cat /a\n", "a": b"got"}))
    )
    (folder / "plain").write_text("FROM busybox\nRUN echo alone\n")
    with contextlib.closing(builds.engine.client()) as client:
        for path, wanted in (("c.tar.gz", "got"), ("plain", "alone")):
            _, lines = client.images.build(path=f"{url}/{path}", nocache=True)
            assert wanted in "".join(line.get("stream", "") for line in lines)


def test_git_contexts_and_sources(builds: Builds, web: tuple[Path, str]) -> None:
    folder, url = web
    work = folder / "work"

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
            cwd=work, check=True, capture_output=True,
        )  # fmt: skip

    (work / "sub").mkdir(parents=True)
    git("init", "-q", "-b", "main")
    (work / "Dockerfile").write_text("FROM busybox\nRUN echo top\n")
    (work / "sub/Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN cat /f\n")
    (work / "sub/f").write_text("of a branch\n")
    git("add", ".")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "other")
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(folder / "r.git")], check=True)
    subprocess.run(["git", "update-server-info"], cwd=folder / "r.git", check=True)
    with contextlib.closing(builds.engine.client()) as client:
        for remote, wanted in (("r.git", "top"), ("r.git#other:sub", "of a branch")):
            lines = client.api.build(path=f"{url}/{remote}", nocache=True, decode=True)
            assert wanted in "".join(line.get("stream", line.get("error", "")) for line in lines)
    said = builds.output(f"FROM busybox\nADD {url}/r.git#other /src\nRUN ls -A /src /src/sub\n")
    assert said.split() == ["/src:", "Dockerfile", "sub", "/src/sub:", "Dockerfile", "f"]
