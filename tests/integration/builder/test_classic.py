"""`docker build` of the classic builder: its words, its cache, its images."""

from __future__ import annotations

import contextlib
import json
import re

import pytest

from tests.integration.builder.conftest import Builds

pytestmark = pytest.mark.root

TWO_STAGES = """ARG V=busybox
FROM $V AS one
ARG X=5
RUN echo out; echo err >&2; echo $X > /x
WORKDIR /w
COPY a.txt .
FROM one
COPY --from=one /x /y
LABEL a=b
CMD ["sh"]
"""


def inspect(builds: Builds, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(builds.engine.docker("inspect", name).stdout)[0]
    return found


def test_the_words_of_a_build(builds: Builds) -> None:
    args = ("--build-arg", "X=6", "-t", "words", "-t", "words:2")
    said = builds.run(TWO_STAGES, *args, files={"a.txt": "hi"}).stdout
    plain = re.sub(r"\b[0-9a-f]{12}\b", "ID", said[said.index("Step 1") :])
    assert plain.splitlines() == [
        "Step 1/10 : ARG V=busybox",
        "Step 2/10 : FROM $V AS one",
        " ---> ID",
        "Step 3/10 : ARG X=5",
        " ---> ID",
        "Step 4/10 : RUN echo out; echo err >&2; echo $X > /x",
        " ---> Running in ID",
        "out",
        "\x1b[91merr",
        "\x1b[0m ---> Removed intermediate container ID",
        " ---> ID",
        "Step 5/10 : WORKDIR /w",
        " ---> ID",
        "Step 6/10 : COPY a.txt .",
        " ---> ID",
        "Step 7/10 : FROM one",
        " ---> ID",
        "Step 8/10 : COPY --from=one /x /y",
        " ---> ID",
        "Step 9/10 : LABEL a=b",
        " ---> ID",
        'Step 10/10 : CMD ["sh"]',
        " ---> ID",
        "Successfully built ID",
        "Successfully tagged words:latest",
        "Successfully tagged words:2",
    ]
    again = builds.run(TWO_STAGES, *args, files={"a.txt": "hi"}).stdout
    assert again.count("Using cache") == 7
    assert again.splitlines()[-3] == said.splitlines()[-3]
    assert builds.engine.docker("run", "--rm", "words", "cat", "/y", "/w/a.txt").stdout == "6\nhi"


def test_history_and_config(builds: Builds) -> None:
    builds.run(TWO_STAGES, "-t", "told", "--label", "own=$HOME", files={"a.txt": "hi"})
    lines = builds.engine.docker(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", "told"
    ).stdout.splitlines()
    digest = r"file:[0-9a-f]{64}"
    expected = [
        r"/bin/sh -c #(nop)  LABEL own=$HOME",
        r'/bin/sh -c #(nop)  CMD ["sh"]',
        r"/bin/sh -c #(nop)  LABEL a=b",
        r"/bin/sh -c #(nop) COPY FILE in /y ",
        r"/bin/sh -c #(nop) COPY FILE in . ",
        r"/bin/sh -c #(nop) WORKDIR /w",
        r"|1 X=5 /bin/sh -c echo out; echo err >&2; echo $X > /x",
        r"/bin/sh -c #(nop)  ARG X=5",
    ]
    for line, wanted in zip(lines, expected, strict=False):
        assert re.fullmatch(re.escape(wanted).replace("FILE", digest), line), line
    config = inspect(builds, "told")["Config"]
    assert isinstance(config, dict)
    assert config["Labels"] == {"a": "b", "own": "$HOME"}
    assert (config["WorkingDir"], config["Cmd"]) == ("/w", ["sh"])


def test_without_a_step_it_is_the_base_itself(builds: Builds) -> None:
    said = builds.run("FROM busybox\n", "-q", "-t", "other:name").stdout.strip()
    base = inspect(builds, "busybox")
    assert said == base["Id"] and "other:name" in str(base["RepoTags"])
    file = builds.folder / "id"
    first = builds.run("FROM busybox\nCMD x\n", "--iidfile", str(file)).stdout
    assert f" ---> {said[7:19]}\n" in first
    assert file.read_text() == inspect(builds, first.split()[-1])["Id"]


def test_quiet_tells_the_id_alone(builds: Builds) -> None:
    said = builds.run("FROM busybox\nRUN true\n", "-q").stdout
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", said)
    failed = builds.run("FROM busybox\nRUN echo why; exit 3\n", "-q", check=False)
    assert failed.returncode == 3
    assert "returned a non-zero code: 3" in failed.stderr


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        (
            "FROM busybox\nRUN exit 7\n",
            "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
        ),
        (
            'FROM busybox\nRUN ["nosuch"]\n',
            'exec: "nosuch": executable file not found in $PATH',
        ),
        (
            "FROM busybox\nFOO bar\n",
            "Error response from daemon: dockerfile parse error on line 2: "
            "unknown instruction: FOO (did you mean FROM?)",
        ),
        (
            "FROM busybox\nCOPY none /x\n",
            "COPY failed: file not found in build context or excluded by .dockerignore: "
            "stat none: file does not exist",
        ),
        ("FROM busybox\nCOPY n*e /x\n", "COPY failed: no source files were specified"),
        (
            "FROM busybox\nCOPY ../a /x\n",
            "COPY failed: forbidden path outside the build context: ../a ()",
        ),
        ("FROM busybox\nCOPY --from=busybox /none /x\n", "COPY failed: stat none: file does not"),
        (
            "FROM busybox\nCOPY --chown=who Dockerfile /x\n",
            "can't find uid for user who: no such user: who",
        ),
        (
            "FROM busybox\nUSER who\nRUN true\n",
            "unable to find user who: no matching entries in passwd file",
        ),
        ("FROM busybox\nCOPY Dockerfile /bin\nCOPY . /bin/sh\n", "cannot copy to non-directory"),
        ("FROM busybox\nADD http://127.0.0.1:1/x /x\n", "connection refused"),
        (
            "FROM busybox\nRUN --mount=type=secret,id=a true\n",
            "RUN --mount=type=secret needs a client that can hand it over",
        ),
        (
            "FROM busybox\nRUN --mount=type=ssh true\n",
            "RUN --mount=type=ssh needs a client that can hand it over",
        ),
    ],
)
def test_what_goes_wrong_is_told(builds: Builds, dockerfile: str, message: str) -> None:
    assert message in builds.failure(dockerfile)


def test_wrong_requests_are_refused_before_anything_happens(builds: Builds) -> None:
    plain = "FROM busybox\n"
    assert 'target stage "none" could not be found' in builds.failure(plain, "--target", "none")
    assert "network none-such not found" in builds.failure(
        "FROM busybox\nRUN true\n", "--network", "none-such", "--no-cache"
    )
    with contextlib.closing(builds.engine.client()) as client:
        answer = client.api._post(client.api._url("/build"), params={"t": "UPPER"}, data=b"")
        assert answer.status_code == 400
        assert "must be lowercase" in answer.json()["message"]
    said = builds.failure(plain, "--platform", "linux/s390x")
    assert "does not match the specified platform (linux/s390x)" in said


def test_the_exit_code_is_the_command_s(builds: Builds) -> None:
    assert builds.run("FROM busybox\nRUN exit 42\n", check=False).returncode == 42


def test_the_cache_hears_content_not_times(builds: Builds) -> None:
    dockerfile = "FROM busybox\nCOPY a /a\nRUN cat /a\n"
    first = builds.run(dockerfile, files={"a": "1"}).stdout.splitlines()[-1]
    (builds.folder / "a").touch()
    same = builds.run(dockerfile).stdout
    assert same.count("Using cache") == 2 and same.splitlines()[-1] == first
    changed = builds.run(dockerfile, files={"a": "2"}).stdout
    assert "Using cache" not in changed
    again = builds.run(dockerfile, "--no-cache", files={"a": "2"}).stdout
    assert "Using cache" not in again


def test_arguments_count_where_they_are_used(builds: Builds) -> None:
    dockerfile = "FROM busybox\nRUN echo before\nARG A\nRUN echo after\n"
    builds.run(dockerfile, "--build-arg", "A=1")
    said = builds.run(dockerfile, "--build-arg", "A=2").stdout
    assert said.count("Using cache") == 2  # the first RUN, and ARG without a default
    proxied = builds.run(dockerfile, "--build-arg", "A=2", "--build-arg", "HTTP_PROXY=http://p")
    assert proxied.stdout.count("Using cache") == 3


def test_equal_input_gives_equal_layers(builds: Builds) -> None:
    dockerfile = "FROM busybox\nWORKDIR /a/b\nCOPY . /ctx/\nCOPY a /etc/new/a\n"
    ids = []
    builds.write(dockerfile, {"a": "1", "d/b": "2"})
    for tag in ("same:1", "same:2"):
        builds.engine.docker("build", "--no-cache", "-t", tag, str(builds.folder))
        rootfs = inspect(builds, tag)["RootFS"]
        assert isinstance(rootfs, dict)
        ids.append(rootfs["Layers"])
    assert ids[0] == ids[1]


def test_source_date_epoch(builds: Builds) -> None:
    builds.write("FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo 1 > /a\nCOPY . /b/\n")
    ids = set()
    for number in range(2):
        args = ("--build-arg", "SOURCE_DATE_EPOCH=1600000000", "-t", f"epoch:{number}")
        builds.engine.docker("build", "--no-cache", *args, str(builds.folder))
        found = inspect(builds, f"epoch:{number}")
        ids.add(found["Id"])
        assert found["Created"] == "2020-09-13T12:26:40Z"
    assert len(ids) == 1
    other = ("--build-arg", "SOURCE_DATE_EPOCH=1500000000", "-t", "epoch:other")
    assert "Using cache" not in builds.engine.docker("build", *other, str(builds.folder)).stdout
    assert inspect(builds, "epoch:other")["Created"] == "2017-07-14T02:40:00Z"
    said = builds.engine.docker("run", "--rm", "epoch:0", "stat", "-c", "%Y", "/a").stdout
    assert said == "1600000000\n"


def test_only_needed_stages_run(builds: Builds) -> None:
    said = builds.run(
        "FROM busybox AS unused\nRUN exit 1\nFROM busybox AS used\nRUN echo used\n"
        "FROM busybox\nCOPY --from=used /bin/busybox /b\n"
    ).stdout
    assert "unused" not in said and "Step 4/4" in said
    target = builds.run("FROM busybox AS one\nFROM busybox\nRUN exit 1\n", "--target", "one").stdout
    assert "Successfully built" in target


def test_triggers_of_a_base(builds: Builds) -> None:
    builds.run(
        "FROM busybox\nONBUILD COPY a /from-trigger\nONBUILD RUN cat /from-trigger\n",
        "-t",
        "triggers",
        files={"a": "content"},
    )
    said = builds.run("FROM triggers\nRUN ls /from-trigger\n", files={"a": "content"}).stdout
    assert "# Executing 2 build triggers" in said
    assert "content" in said and "Step 2/2 : RUN ls /from-trigger" in said


def test_cache_from_an_image(builds: Builds) -> None:
    dockerfile = "FROM busybox\nRUN head -c 9 /dev/urandom > /r\nCMD echo hi\n"
    builds.run(dockerfile, "--no-cache", "-t", "model")
    builds.engine.docker("builder", "prune", "-af")
    assert "Using cache" not in builds.run(dockerfile).stdout
    builds.engine.docker("builder", "prune", "-af")
    said = builds.run(dockerfile, "--cache-from", "model", "-t", "like").stdout
    assert said.count("Using cache") == 2
    assert inspect(builds, "like")["Id"] == inspect(builds, "model")["Id"]


def test_images_are_removed_by_docker_s_rules(builds: Builds) -> None:
    engine = builds.engine
    builds.run("FROM busybox\nRUN echo 1 > /one\n", "-t", "base:1")
    builds.run("FROM base:1\nRUN echo 2 > /two\n", "-t", "top:1")
    refused = engine.docker("rmi", inspect(builds, "base:1")["Id"].__str__(), check=False)
    assert "image has dependent child images" in refused.stderr
    engine.docker("rmi", "top:1")
    engine.docker("rmi", "base:1")
    # the cache has kept the layers
    assert builds.run("FROM busybox\nRUN echo 1 > /one\n").stdout.count("Using cache") == 1
