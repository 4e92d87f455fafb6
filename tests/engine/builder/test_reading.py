"""Instructions: what is refused, in dockerd's words."""

from __future__ import annotations

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.instructions import Copy, Env
from engine.builder.parser import parse
from engine.builder.reading import read, read_trigger

REFUSED = [
    ("FOO bar", "unknown instruction: FOO (did you mean FROM?)"),
    ("form x", "unknown instruction: form (did you mean from?)"),
    ("SOMETHING", "unknown instruction: SOMETHING"),
    ("FROM", "FROM requires either one or three arguments"),
    ("FROM a b", "FROM requires either one or three arguments"),
    ("FROM a IS b", "FROM requires either one or three arguments"),
    (
        "FROM a AS 1x",
        'invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
    ),
    ("FROM --plat=x a", "unknown flag: --plat"),
    (
        "COPY a",
        "COPY requires at least two arguments, but only one was provided. "
        "Destination could not be determined",
    ),
    (
        'ADD ["a"]',
        "ADD requires at least two arguments, but only one was provided. "
        "Destination could not be determined",
    ),
    ("COPY --form=x a b", "unknown flag: --form (did you mean from?)"),
    ("COPY --zzz=x a b", "unknown flag: --zzz"),
    ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
    ("COPY --link= a b", "missing a value on flag: --link"),
    ("COPY --chown a b", "missing a value on flag: --chown"),
    ("COPY --chown=1 --chown=2 a b", "duplicate flag specified: --chown"),
    ("COPY <<E <<X\nE\nX", "COPY cannot accept a heredoc as a destination"),
    ("ENV", "ENV requires at least one argument"),
    ("ENV =b", "ENV names can not be blank"),
    ("LABEL =b", "LABEL names can not be blank"),
    ("ENV --x=y a=b", "unknown flag: --x"),
    ("ARG", "ARG requires at least one argument"),
    ("ARG =x", "ARG names can not be blank"),
    ("SHELL x", "SHELL requires the arguments to be in JSON form"),
    ("SHELL []", "SHELL requires at least one argument"),
    ("ONBUILD", "ONBUILD requires at least one argument"),
    ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    ("ONBUILD maintainer x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
    ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
    ("HEALTHCHECK FOO", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
    ("HEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'),
    ("HEALTHCHECK --interval=1x CMD x", 'time: unknown unit "x" in duration "1x"'),
    ("HEALTHCHECK --interval=x CMD x", 'time: invalid duration "x"'),
    ("HEALTHCHECK --timeout=1us CMD x", 'Interval "timeout" cannot be less than 1ms'),
    (
        f"HEALTHCHECK --interval={'9' * 400}s CMD x",
        f'time: invalid duration "{"9" * 400}s"',
    ),
    ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
    ("HEALTHCHECK --retries=x CMD x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    (
        "HEALTHCHECK --retries=2147483648 CMD x",
        'strconv.ParseInt: parsing "2147483648": value out of range',
    ),
    ("HEALTHCHECK --retires=1 CMD x", "unknown flag: --retires (did you mean retries?)"),
    ("EXPOSE", "EXPOSE requires at least one argument"),
    ("VOLUME", "VOLUME requires at least one argument"),
    ('VOLUME [""]', "VOLUME specified can not be an empty string"),
    ("WORKDIR", "WORKDIR requires exactly one argument"),
    ("USER", "USER requires exactly one argument"),
    ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
    ("MAINTAINER", "MAINTAINER requires exactly one argument"),
    ("RUN --network=foo x", 'invalid network mode "foo"'),
    ("RUN --network=hots x", 'invalid network mode "hots" (did you mean host?)'),
    ("RUN --security=foo x", 'security "foo" is not valid'),
    ("RUN --moutn=x x", "unknown flag: --moutn (did you mean mount?)"),
    (
        "RUN --mount=from=$x x",
        "'from' doesn't support variable expansion, define alias stage instead",
    ),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    (node,) = parse(f"\n{text}").nodes
    with pytest.raises(DockerfileError) as caught:
        read(node)
    assert caught.value.reason == reason
    assert caught.value.message == f"dockerfile parse error on line 2: {reason}"
    assert caught.value.line == 2


def test_triggers_get_the_place_of_their_from() -> None:
    trigger = read_trigger("COPY <<E /x\n$a\nE", 7)
    assert isinstance(trigger, Copy)
    assert (trigger.first_line, trigger.last_line) == (7, 7)
    assert trigger.heredocs[0].content == "$a\n"
    assert read_trigger("env a=b", 1) == Env("env a=b", 1, 1, (("a", "b"),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD RUN x", "ONBUILD isn't allowed as an ONBUILD trigger"),
        ("FOO", "unknown instruction: FOO (did you mean FROM?)"),
        ("", "file with no instructions"),
    ],
)
def test_triggers_are_checked_again(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read_trigger(text, 3)
    assert caught.value.reason == reason
