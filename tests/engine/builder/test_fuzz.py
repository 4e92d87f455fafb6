"""Whatever a Dockerfile says, reading it ends with a plan or with an error for its author."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.builder import mounts
from engine.builder.errors import DockerfileError
from engine.builder.graph import Style, vertices
from engine.builder.ignore import Matcher, read
from engine.builder.parser import parse
from engine.builder.stages import plan
from engine.builder.words import Lexer

PIECES = """
FROM|from|AS|RUN|COPY|ADD|ENV|ARG|LABEL|CMD|ENTRYPOINT|EXPOSE|VOLUME|USER|WORKDIR|ONBUILD|SHELL
HEALTHCHECK|STOPSIGNAL|MAINTAINER|NONE|scratch|busybox|base|# escape=`|# check=skip=all|# x
--from=|--from=base|--from=0|--platform=|--mount=|--mount=type=cache,target=|type=secret,id=x
--chown=|--chmod=u+x|--exclude=*|--link|--parents|--interval=|--checksum=sha256:|--
<<EOF|<<-'E'|EOF|E|["a", "b"]|[1]|[|]|"|'|\\|`|$|${|}|${a:-|${a#|${a%%|${a/|//|/|:|=|a=b|a|.|*|?
80|8000-9000/udp|\t|\r|\x01|\x85|é|\ud800|5s|9999999999999999999999h|SIGTERM|^
"""
pieces = [piece for line in PIECES.strip().splitlines() for piece in line.split("|")]
lines = st.lists(st.sampled_from(pieces), max_size=6).map(" ".join)
joined = st.lists(st.sampled_from(pieces), max_size=6).map("".join)
files = st.lists(st.one_of(lines, joined), max_size=8).map("\n".join)
quickly = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@quickly
@given(files, st.sampled_from(Style))
def test_files(text: str, style: Style) -> None:
    for whole in (text, f"FROM busybox AS base\n{text}"):
        with contextlib.suppress(DockerfileError):
            found = plan(parse(whole), args={"a": "b" * 9}, labels={"l": "$l"})
            for index in found.needed:
                stage = found.stages[index]
                for vertex in vertices(found, stage, {"OnBuild": ["ENV a=1"]}, style=style):
                    assert vertex.op.key() and "\0" not in vertex.history("file:0")


@quickly
@given(
    st.one_of(joined, st.text('a$"{}é\\`:-#\u3000 ', max_size=30)),
    st.sampled_from("\\`"),
    st.booleans(),
)
def test_words(text: str, escape: str, raw: bool) -> None:
    lexer = Lexer(escape, raw_quotes=raw, raw_escapes=raw, keep_unset=raw)
    with contextlib.suppress(DockerfileError):
        expanded = lexer.read(text, {"a": "x y", "é": "/*"})
        assert len(expanded.text) <= 100 + 10 * len(text)
        assert all(expanded.words)


@quickly
@given(st.text('typebindcachsr=,/"$a0:', max_size=30))
def test_mounts(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        mounts.check(text)
        assert mounts.parse(text, str).type


@quickly
@given(st.text("ab/.*?[]!^-\\#\n", max_size=20), st.text("ab/.", max_size=10))
def test_ignoring(text: str, path: str) -> None:
    with contextlib.suppress(DockerfileError):
        matcher = Matcher(read(text))
        if not matcher.could_hold(path):
            assert matcher.ignored(path) and matcher.ignored(f"{path}/a")
