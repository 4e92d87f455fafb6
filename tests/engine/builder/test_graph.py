"""A stage as steps: what each does, the config after it, and its line in the history."""

from __future__ import annotations

from typing import Any

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.graph import ConfigOp, CopyOp, RunOp, Style, Vertex, WorkdirOp, vertices
from engine.builder.parser import parse
from engine.builder.stages import ContextRef, ImageRef, StageRef, plan
from engine.registry.platforms import Platform

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HERE = Platform("linux", "amd64")


def steps(
    text: str,
    base: dict[str, Any] | None = None,
    style: Style = Style.CLASSIC,
    inherited: dict[str, str] | None = None,
    **args: str,
) -> tuple[Vertex, ...]:
    found = plan(parse(text), args=args, build_platform=HERE)
    stage = found.stages[-1]
    return vertices(found, stage, base or {}, style=style, inherited=inherited)


def last(text: str, **args: Any) -> Vertex:
    return steps(f"FROM a\n{text}", **args)[-1]


def run_of(text: str, **args: Any) -> RunOp:
    op = last(text, **args).op
    assert isinstance(op, RunOp)
    return op


def copy_of(text: str, **args: Any) -> CopyOp:
    op = last(text, **args).op
    assert isinstance(op, CopyOp)
    return op


BIG = """
ARG VER=latest
FROM busybox:${VER} AS base
ARG A=1 B
ARG VER
ENV X=1
ARG X=2
RUN echo "$X $A $B $VER" > /out
RUN ["echo", "hi"]
ENV P="a b" Q=c\\ d
ENV old  form  value
LABEL l1="a b" l2='c'
MAINTAINER me <x@y>
WORKDIR /w
WORKDIR sub
COPY f1 f2 dest/
COPY --chown=1:2 d /dd
ADD f1 /add
USER nobody:nogroup
EXPOSE 80 53/udp 8000-8001 127.0.0.1:90:91
VOLUME /v1 /v2
VOLUME ["/v 3"]
HEALTHCHECK --interval=5s --retries=3 --start-interval=1s CMD curl x
HEALTHCHECK NONE
SHELL ["/bin/sh", "-e", "-c"]
STOPSIGNAL SIGQUIT
ONBUILD RUN echo trig
CMD ["sh"]
ENTRYPOINT foo bar
CMD echo "hi"
RUN true
"""


def test_history_is_told_as_dockerd_does() -> None:
    """What dockerd 28.5 wrote for the same file."""
    found = steps(BIG, B="bee", HTTP_PROXY="http://p")
    assert [vertex.history("file:00") for vertex in found] == [
        "/bin/sh -c #(nop)  ARG A=1 B",
        "/bin/sh -c #(nop)  ARG VER",
        "/bin/sh -c #(nop)  ENV X=1",
        "/bin/sh -c #(nop)  ARG X=2",
        '|3 A=1 B=bee VER=latest /bin/sh -c echo "$X $A $B $VER" > /out',
        "|3 A=1 B=bee VER=latest echo hi",
        "/bin/sh -c #(nop)  ENV P=a b Q=c d",
        "/bin/sh -c #(nop)  ENV old=form  value",
        "/bin/sh -c #(nop)  LABEL l1=a b l2=c",
        "/bin/sh -c #(nop)  MAINTAINER me <x@y>",
        "/bin/sh -c #(nop) WORKDIR /w",
        "/bin/sh -c #(nop) WORKDIR /w/sub",
        "/bin/sh -c #(nop) COPY file:00 in dest/ ",
        "/bin/sh -c #(nop) COPY --chown=1:2 file:00 in /dd ",
        "/bin/sh -c #(nop) ADD file:00 in /add ",
        "/bin/sh -c #(nop)  USER nobody:nogroup",
        "/bin/sh -c #(nop)  EXPOSE 127.0.0.1:90:91 53/udp 80 8000-8001",
        "/bin/sh -c #(nop)  VOLUME [/v1 /v2]",
        "/bin/sh -c #(nop)  VOLUME [/v 3]",
        "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL curl x] 5s 0s 0s 1s 3}",
        "/bin/sh -c #(nop)  HEALTHCHECK &{[NONE] 0s 0s 0s 0s 0}",
        "/bin/sh -e -c #(nop)  SHELL [/bin/sh -e -c]",
        "/bin/sh -e -c #(nop)  STOPSIGNAL SIGQUIT",
        "/bin/sh -e -c #(nop)  ONBUILD RUN echo trig",
        '/bin/sh -e -c #(nop)  CMD ["sh"]',
        '/bin/sh -e -c #(nop)  ENTRYPOINT ["/bin/sh" "-e" "-c" "foo bar"]',
        '/bin/sh -e -c #(nop)  CMD ["/bin/sh" "-e" "-c" "echo \\"hi\\""]',
        "|3 A=1 B=bee VER=latest /bin/sh -e -c true",
    ]
    assert found[20].note == "Note: overriding previous HEALTHCHECK: [CMD-SHELL curl x]\n"


def test_config_after_all() -> None:
    found = steps(BIG)[-1]
    assert found.author == "me <x@y>"
    ports = ("91/tcp", "53/udp", "80/tcp", "8000/tcp", "8001/tcp")
    assert found.config == {
        "Cmd": ["/bin/sh", "-e", "-c", 'echo "hi"'],
        "Entrypoint": ["/bin/sh", "-e", "-c", "foo bar"],
        "Env": [PATH, "X=1", "P=a b", "Q=c d", "old=form  value"],
        "ExposedPorts": {port: {} for port in ports},
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {"l1": "a b", "l2": "c"},
        "OnBuild": ["RUN echo trig"],
        "Shell": ["/bin/sh", "-e", "-c"],
        "StopSignal": "SIGQUIT",
        "User": "nobody:nogroup",
        "Volumes": {"/v1": {}, "/v2": {}, "/v 3": {}},
        "WorkingDir": "/w/sub",
    }


def test_history_is_told_as_buildkit_does() -> None:
    text = """FROM busybox
    ARG A=1 B
    RUN echo hi
    COPY --chown=1:2 --parents a <<EOF /x/
EOF
    WORKDIR /w
    EXPOSE 53/udp 80
    ENV x=y
    CMD echo
    HEALTHCHECK --interval=5m --retries=3 CMD x
    ONBUILD RUN x
    """
    told = [vertex.history() for vertex in steps(text, style=Style.BUILDKIT, A="2")]
    assert told == [
        "ARG A=2 B",
        "RUN |1 A=2 /bin/sh -c echo hi # buildkit",
        "COPY --parents --chown=1:2 a <<EOF /x/ # buildkit",
        "WORKDIR /w",
        "EXPOSE [53/udp 80/tcp]",
        "ENV x=y",
        'CMD ["/bin/sh" "-c" "echo"]',
        'HEALTHCHECK &{["CMD-SHELL" "x"] "5m0s" "0s" "0s" "0s" \'\\x03\'}',
        "",
    ]


def test_the_base_comes_first_and_stays_as_it_is() -> None:
    base = {
        "Env": ["PATH=/only", "A=1"],
        "Cmd": ["base"],
        "Entrypoint": ["ep"],
        "Labels": {"l": "1"},
        "WorkingDir": "/base",
        "OnBuild": ["ENV T=$A", "COPY a b"],
        "StopSignal": "SIGINT",
    }
    found = steps("FROM x\nENV U=$T\nENTRYPOINT []", base)
    assert [vertex.trigger for vertex in found] == [True, True, False, False]
    assert [vertex.instruction.first_line for vertex in found] == [1, 1, 2, 3]
    config = found[-1].config
    assert config["Env"] == ["PATH=/only", "A=1", "T=1", "U=1"]
    assert (config["Cmd"], config["Entrypoint"], config["OnBuild"]) == (None, None, None)
    assert found[1].op == CopyOp(("a",), "/base/b", ContextRef())
    assert base["OnBuild"] and base["Env"] == ["PATH=/only", "A=1"]


def test_an_entrypoint_forgets_the_base_s_command_alone() -> None:
    base = {"Cmd": ["base"]}
    assert steps('FROM x\nENTRYPOINT ["e"]', base)[-1].config["Cmd"] is None
    assert steps('FROM x\nCMD c\nENTRYPOINT ["e"]', base)[-1].config["Cmd"] is not None
    assert steps("FROM x\nENV a=b", base)[-1].config["Cmd"] == ["base"]


def test_arguments() -> None:
    op = run_of("ARG A=1\nENV B=2\nARG B=3\nARG C\nRUN x", A="9", HTTP_PROXY="p", UNUSED="u")
    assert op.key_env == (PATH, "B=2", "A=9")
    assert set(op.env) == {PATH, "B=2", "A=9", "HTTP_PROXY=p"}
    assert last("ARG A=1\nENV B=$A-x", A="9").config["Env"] == [PATH, "B=9-x"]
    assert last("ENV B=$A-x\nARG A").config["Env"] == [PATH, "B=-x"]
    assert run_of("ARG HTTP_PROXY\nRUN x", HTTP_PROXY="p").key_env == (PATH, "HTTP_PROXY=p")
    assert run_of("ARG TARGETARCH\nARG X=$TARGETARCH\nRUN y").key_env == (
        PATH,
        "TARGETARCH=amd64",
        "X=amd64",
    )


def test_arguments_of_the_file_s_top_have_to_be_asked_for() -> None:
    text = "ARG V=1\nFROM a\n%s\nRUN x"
    for asked, env in (("", ()), ("ARG V", ("V=1",)), ("ARG V=2", ("V=2",))):
        op = steps(text % asked)[-1].op
        assert isinstance(op, RunOp) and op.key_env == (PATH, *env)


def test_an_argument_asked_for_again() -> None:
    text = "ARG A=1\nARG A\nRUN x"
    assert run_of(text).key_env == (PATH,)
    assert run_of(text, style=Style.BUILDKIT).key_env == (PATH, "A=1")


def test_the_later_one_of_env_and_arg_counts_with_buildkit() -> None:
    text = "ENV A=1\nARG A=2\nENV B=$A\nRUN x"
    assert run_of(text).key_env == (PATH, "A=1", "B=1")
    assert run_of(text, style=Style.BUILDKIT).key_env == (PATH, "A=2", "B=2")
    assert run_of(f"{text}\nENV A=3\nRUN y", style=Style.BUILDKIT).key_env == (
        PATH,
        "A=3",
        "B=2",
    )
    assert last(text, style=Style.BUILDKIT).config["Env"] == [PATH, "A=1", "B=2"]
    assert last(text, style=Style.BUILDKIT).history() == "RUN |1 A=2 /bin/sh -c x # buildkit"


def test_arguments_of_the_stage_below() -> None:
    inherited = {"A": "1"}
    assert run_of("RUN x", inherited=inherited).key_env == (PATH,)
    assert run_of("RUN x", inherited=inherited, style=Style.BUILDKIT).key_env == (PATH, "A=1")
    assert last("ARG B=2", inherited=inherited, style=Style.BUILDKIT).args == {"A": "1", "B": "2"}


def test_run() -> None:
    op = run_of("WORKDIR /w\nUSER u:g\nENV A=1\nRUN echo $A")
    assert (op.argv, op.workdir, op.user) == (("/bin/sh", "-c", "echo $A"), "/w", "u:g")
    assert run_of('RUN ["a", "$b"]').argv == ("a", "$b")
    assert run_of("RUN").argv == ("/bin/sh", "-c", "")
    assert run_of('SHELL ["ash", "-x"]\nRUN a').argv == ("ash", "-x", "a")
    assert run_of("RUN --network=none a").network == "none"


def test_run_with_heredocs() -> None:
    assert run_of("RUN <<E\na\n b\nE").argv[-1] == "a\n b\n"
    assert run_of("RUN <<-E\n\ta\n\tE").argv[-1] == "a\n"
    assert run_of("RUN cat <<E - <<-X\na\nE\n\tb\n\tX").argv[-1] == ("cat <<E - <<-X\na\nE\n\tb\nX")
    op = run_of("RUN <<E\n#!/usr/bin/awk -f\nBEGIN {}\nE")
    assert op.argv == ("/bin/sh", "-c", "/dev/pipes/E")
    assert op.script is not None and op.script.content == "#!/usr/bin/awk -f\nBEGIN {}\n"
    assert op.key()["script"] == op.script.content


def test_run_with_mounts() -> None:
    text = """FROM a AS one
FROM b
WORKDIR /w
ARG id=i
RUN --mount=target=x,source=../s --mount=type=cache,target=/c/../c2,id=$id \
    --mount=type=cache,from=one,target=c --mount=type=secret,id=d/s --mount=type=ssh \
    --mount=type=ssh,id=k,target=/k --mount=type=tmpfs,target=/t --mount=type=secret,id=e,env=E \
    --mount=type=secret,target=/deep/t x"""
    op = steps(text)[-1].op
    assert isinstance(op, RunOp)
    found = [(each.mount.target, each.mount.id, each.source) for each in op.mounts]
    assert found == [
        ("/w/x", "", ContextRef()),
        ("/c2", "i", None),
        ("/w/c", "/w/c", StageRef(0)),
        ("/run/secrets/s", "d/s", None),
        ("/run/buildkit/ssh_agent.0", "default", None),
        ("/k", "k", None),
        ("/t", "", None),
        ("", "e", None),
        ("/deep/t", "t", None),
    ]
    assert op.mounts[0].mount.source == "/s"
    assert "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0" in op.env
    assert "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0" not in op.key_env
    assert op.mounts[7].key() == {"type": "secret", "target": "", "id": "e", "env": "E"}


def test_copy() -> None:
    assert copy_of("WORKDIR /w\nCOPY a* b/../c d/").destination == "/w/d/"
    assert copy_of("WORKDIR /w\nCOPY a .").destination == "/w/"
    assert copy_of("WORKDIR /w\nCOPY a d").destination == "/w/d"
    assert copy_of("COPY a .").destination == "/"
    assert copy_of("COPY a ../../x").destination == "/x"
    assert copy_of("ARG d=/e\nCOPY $d/a ${d}/").sources == ("/e/a",)
    assert copy_of("COPY --from=alpine:3 a /").source == ImageRef("alpine:3")
    assert copy_of("COPY --exclude=*.o --parents --link --chmod=u+x a /").exclude == ("*.o",)
    add = copy_of("ADD --keep-git-dir=true https://x/y.git /d")
    assert (add.add, add.keep_git_dir, add.unpack) == (True, True, None)
    assert add.key()["op"] == "add"


def test_copied_heredocs_are_expanded() -> None:
    text = "ENV a=1\nCOPY <<E <<'F' /\n$a \"${b:-2}\" \\$a\nE\n$a\nF"
    assert [heredoc.content for heredoc in copy_of(text).heredocs] == ['1 "2" $a\n', "$a\n"]


def test_workdir_makes_a_folder() -> None:
    assert last("USER u\nWORKDIR /w").op == WorkdirOp("/w")
    assert last("USER u\nWORKDIR /w", style=Style.BUILDKIT).op == WorkdirOp("/w", "u")
    assert last("WORKDIR /").op == ConfigOp()
    assert last("ENV d=x\nWORKDIR /a/./b/../$d").config["WorkingDir"] == "/a/x"


MODE = ". it should be octal string and between 0 and 07777"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN []", "no command specified"),
        ("WORKDIR $x", "cannot normalize nothing"),
        ("WORKDIR ${x?bad}", 'failed to process "${x?bad}": x: bad'),
        (
            "LABEL a='x",
            'failed to process "\'x": unexpected end of statement while looking for '
            "matching single-quote",
        ),
        ("STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"),
        ("VOLUME $x", "VOLUME specified can not be an empty string"),
        ("EXPOSE 80/foo", "Invalid proto: foo"),
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("RUN --mount=type=foo x", 'unsupported mount type "foo"'),
        ("RUN --mount=foo x", "invalid field 'foo' must be a key=value pair"),
        ("RUN --mount=type=cache x", 'invalid mount target "/"'),
        (
            "RUN --security=insecure x",
            "granting entitlement security.insecure is not allowed by build daemon configuration",
        ),
        ("COPY http://x/y /z", "COPY failed: source can't be a URL for COPY"),
        ("COPY git@x:y /z", "COPY failed: source can't be a git ref for COPY"),
        (
            "COPY a b /z",
            "When using COPY with more than one source file, the destination must "
            "be a directory and end with a /",
        ),
        ("COPY --chmod=99 a /z", f"invalid chmod parameter: '99'{MODE}"),
        ("COPY --chmod=17777 a /z", f"invalid chmod parameter: '17777'{MODE}"),
        ("ADD --checksum=x http://x /z", "invalid checksum digest format"),
        ("ADD --checksum=md5:00 http://x /z", "unsupported digest algorithm"),
        ("ADD --checksum=sha256:00 http://x /z", "invalid checksum digest length"),
        (
            f"ADD --checksum=sha256:{'0' * 64} x /z",
            "checksum can't be specified for non-HTTP(S) sources",
        ),
        (
            f"ADD --checksum=sha256:{'0' * 64} x y /z/",
            "checksum can't be specified for multiple sources",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        last(text)
    assert (caught.value.message, caught.value.line) == (message, 2)


def test_wrong_ports_are_told_as_each_builder_does() -> None:
    with pytest.raises(DockerfileError, match=r"^invalid containerPort: x$"):
        last("EXPOSE x", style=Style.BUILDKIT)


def test_variables_cannot_grow_without_end() -> None:
    text = "ENV a=xxxxxxxxxx\n" + "ENV a=$a$a$a$a$a$a$a$a$a$a\n" * 30
    with pytest.raises(DockerfileError, match="longer than"):
        last(text)
