"""Lines, directives and here-documents of a Dockerfile."""

from __future__ import annotations

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.lines import split_words
from engine.builder.parser import chomped, heredoc_of, parse


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "failed to parse Dockerfile: file with no instructions", 0),
        ("# only\n\n", "failed to parse Dockerfile: file with no instructions", 2),
        ("FROM a\nENV a", "failed to parse Dockerfile: ENV must have two arguments", 2),
        ("FROM a\n\nLABEL a", "failed to parse Dockerfile: LABEL must have two arguments", 3),
        (
            "FROM a\nENV a=b c",
            'failed to parse Dockerfile: Syntax error - can\'t find = in "c". '
            "Must be of the form: name=value",
            2,
        ),
        (
            "FROM a\nCMD [1]",
            "failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised "
            "of strings only",
            2,
        ),
        ("FROM a\nRUN <<E\nx", "failed to parse Dockerfile: unterminated heredoc", 2),
        (
            "# escape=x\nFROM a",
            "failed to parse Dockerfile: invalid escape token 'x' does not match ` or \\",
            1,
        ),
        (
            "# escape=\\\n# escape=\\\nFROM a",
            "failed to parse Dockerfile: only one escape parser directive can be used",
            2,
        ),
        (
            "FROM a\nRUN " + "x" * 70_000,
            "failed to parse Dockerfile: dockerfile line greater than max allowed size of 65535",
            2,
        ),
    ],
)
def test_errors(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.line) == (message, line)


def test_comments_stay_with_what_they_stand_above() -> None:
    text = (
        "# syntax=x\n# base is the base\n#\n# one\n# two\nFROM a AS base\n\n# three\nARG x\nCMD a"
    )
    nodes = parse(text).nodes
    assert [node.comments for node in nodes] == [("one", "two"), ("three",), ()]


def test_lines_are_kept_as_written() -> None:
    assert parse("FROM a\r\nRUN b\\\n c").lines == ("FROM a", "RUN b\\", " c")


def test_a_directive_ends_where_anything_else_stands() -> None:
    for text in ("# foo=bar\n# escape=`\nFROM a", "\n# escape=`\nFROM a", "FROM a\n# escape=`"):
        assert parse(text).escape == "\\"
    assert parse("  #  ESCAPE  =  `  \nFROM a").escape == "`"


@pytest.mark.parametrize(
    ("word", "name", "expand", "chomp", "fd"),
    [
        ("<<EOF", "EOF", True, False, 0),
        ("<<-EOF", "EOF", True, True, 0),
        ("<<'EOF'", "EOF", False, False, 0),
        ('<<"EOF"', "EOF", False, False, 0),
        ("3<<-'EOF'", "EOF", False, True, 3),
        ("<<E'O'F", "EOF", False, False, 0),
        ("<<file.txt", "file.txt", True, False, 0),
        ("<<$EOF", "$EOF", True, False, 0),
        (r"<<E\'F", "E'F", True, False, 0),
    ],
)
def test_heredoc_words(word: str, name: str, expand: bool, chomp: bool, fd: int) -> None:
    found = heredoc_of(word)
    assert found is not None
    assert (found.name, found.expand, found.chomp, found.fd) == (name, expand, chomp, fd)


@pytest.mark.parametrize("word", ["EOF", "<EOF", "<<", "<<-", "<<<EOF", "a<<EOF", "<<a b", "<<''"])
def test_other_words_announce_nothing(word: str) -> None:
    assert heredoc_of(word) is None


def test_chomped_takes_tabs_alone() -> None:
    assert chomped("\t\ta\n b\n\tc\td") == "a\n b\nc\td"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", ["a", "b"]),
        ("'a b' c", ["'a b'", "c"]),
        ('"a \\" b"', ['"a \\" b"']),
        ("'a \\' b'", ["'a \\'", "b'"]),
        ("a\\ b \\", ["a\\ b"]),
        ('"open', ['"open']),
        ('""', ['""']),
        ("", []),
    ],
)
def test_words_of_pairs(text: str, expected: list[str]) -> None:
    assert split_words(text, "\\") == expected
