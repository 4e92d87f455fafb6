"""Log lines: colours, levels, the cap."""

from __future__ import annotations

from desktop.client.rows import LogLine
from desktop.ui.containers.logs.buffer import Buffer, Level, Span, plain


def line(text: str) -> LogLine:
    return LogLine(1.5, 1, text)


def test_escape_sequences_become_spans() -> None:
    text, spans = plain("\x1b[1;31mbad\x1b[0m fine \x1b[38;5;2mgreen\x1b[39m\x1b[K")
    assert text == "bad fine green"
    assert spans == (Span(0, 3, "err", True), Span(9, 14, "ok"))


def test_titles_links_and_control_characters_go() -> None:
    assert plain("\x1b]0;title\x07a\tb\x00c")[0] == "a   bc"
    assert plain("10%\r20%\x1b[K")[0] == "20%"
    assert plain("\x1b[38;2;1;2;3mrgb\x1b[0m") == ("rgb", (Span(0, 3, "text"),))


def test_levels_are_counted() -> None:
    buffer = Buffer()
    new, gone = buffer.add([line("error boom"), line("level=warn x"), line("terror"), line("INFO")])
    assert [one.level for one in new] == [Level.ERROR, Level.WARN, Level.NONE, Level.INFO]
    assert (buffer.errors, buffer.warnings, gone) == (1, 1, 0)


def test_the_oldest_lines_go() -> None:
    buffer = Buffer(cap=100)
    buffer.add([line("error")] * 100)
    new, gone = buffer.add([line("x")] * 5)
    assert (len(new), gone) == (5, 15)
    assert len(buffer.lines) == 90 and buffer.dropped == 15
    assert buffer.errors == 85
