"""The multiplexed stream."""

import pytest

from engine.api import frames


def test_a_frame_is_header_and_data():
    assert frames.frame(frames.STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


def test_parse_undoes_frame():
    text = frames.frame(1, b"out") + frames.frame(2, b"") + frames.frame(1, b"more")
    assert list(frames.parse(text)) == [(1, b"out"), (2, b""), (1, b"more")]


@pytest.mark.parametrize("text", [b"", b"a", b"a\n", b"a\n\nb\r\n", b"x" * 5000 + b"\nend"])
def test_a_frame_for_each_line(text):
    framed = list(frames.parse(frames.frame_lines(frames.STDERR, text)))
    *lines, rest = text.split(b"\n")
    wanted = [line + b"\n" for line in lines] + [rest] * bool(rest)
    assert framed == [(frames.STDERR, line) for line in wanted]


@pytest.mark.parametrize("cut", [3, 9])
def test_half_a_frame(cut):
    with pytest.raises(ValueError, match="ends inside"):
        list(frames.parse(frames.frame(1, b"out")[:cut]))
