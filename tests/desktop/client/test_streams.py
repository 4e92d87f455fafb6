"""Frames into lines, references into names, messages into progress."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from desktop.client.engine import Engine
from desktop.client.streams import LineSplitter, Pull, split_reference


def frame(stream: int, text: str) -> bytes:
    data = text.encode()
    return struct.pack(">BxxxL", stream, len(data)) + data


def test_frames_cut_anywhere_give_the_same_lines() -> None:
    raw = frame(1, "2026-11-25T22:00:00.5Z hel") + frame(2, "2026-11-25T22:00:01Z bad\n")
    raw += frame(1, "lo\n2026-11-25T22:00:02Z two\r\n")
    for size in (1, 3, 8, 1000):
        splitter = LineSplitter(tty=False)
        lines = [
            line for at in range(0, len(raw), size) for line in splitter.feed(raw[at : at + size])
        ]
        assert [(line.stream, line.text) for line in lines] == [
            (2, "bad"),
            (1, "hello"),
            (1, "two"),
        ]


def test_terminal_has_no_frames_and_the_rest_is_kept() -> None:
    splitter = LineSplitter(tty=True)
    assert [line.text for line in splitter.feed(b"2026-11-25T22:00:00Z a\n2026-")] == ["a"]
    assert [line.text for line in splitter.feed(b"11-25T22:00:01Z b")] == []
    assert [line.text for line in splitter.finish()] == ["b"]


@pytest.mark.parametrize(
    ("typed", "want"),
    [
        ("nginx", ("nginx", "latest")),
        (" docker pull nginx:alpine ", ("nginx", "alpine")),
        ("localhost:5000/a", ("localhost:5000/a", "latest")),
        ("localhost:5000/a:1", ("localhost:5000/a", "1")),
        ("a@sha256:00", ("a", "sha256:00")),
    ],
)
def test_references(typed: str, want: tuple[str, str]) -> None:
    assert split_reference(typed) == want


class Recorded(Pull):
    """A pull whose messages are given."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        super().__init__(Engine("/nowhere"), "nginx:1")
        self._messages = messages

    def documents(self) -> Iterator[dict[str, Any]]:
        yield from self._messages


def test_pull_adds_up_its_layers() -> None:
    def step(id: str, status: str, **detail: int) -> dict[str, Any]:
        return {"id": id, "status": status, "progressDetail": detail}

    states = list(
        Recorded(
            [
                {"status": "Pulling from library/nginx", "id": "1"},
                step("aa", "Already exists"),
                step("bb", "Downloading", current=30, total=100),
                step("bb", "Download complete"),
                step("bb", "Extracting", current=50, total=100),
                step("bb", "Pull complete"),
                {"status": "Status: Downloaded newer image for nginx:1"},
            ]
        )
    )
    assert [round(state.fraction, 2) for state in states] == [0, 1, 0.3, 1, 0.5, 1, 1]
    assert [layer.id for layer in states[-1].layers] == ["aa", "bb"]


def test_pull_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="manifest unknown"):
        list(Recorded([{"error": "manifest unknown", "errorDetail": {}}]))
