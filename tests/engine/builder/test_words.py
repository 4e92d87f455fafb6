"""Words of a Dockerfile: variables, quotes, escapes, splitting."""

from __future__ import annotations

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.words import Lexer, expand, split

VARIABLES = {"PWD": "/home", "SHELL": "bash", "GREEK": "αβγ", "NULL": "", "X": "xxyy"}

EXPANDED = [
    ("hello", "hello"),
    ("he'll'o", "hello"),
    ('he"l"lo', "hello"),
    ("'hello'", "hello"),
    (r"he\'llo", "he'llo"),
    (r"he\\llo", r"he\llo"),
    (r"'he\llo'", r"he\llo"),
    (r'"he\llo"', r"he\llo"),
    (r'"he\"llo\$x"', 'he"llo$x'),
    (r"hello\ ", "hello "),
    ("hel'lo wo'rld", "hello world"),
    ("end\\", "end"),
    ('""', ""),
    ("''x", "x"),
    ('"\'"', "'"),
    ("'\"'", '"'),
    ("$PWD", "/home"),
    ("${PWD}", "/home"),
    ("a$PWD/b", "a/home/b"),
    ("a${PWD}b", "a/homeb"),
    ("'$PWD'", "$PWD"),
    ('"$PWD"', "/home"),
    (r"\$PWD", "$PWD"),
    (r"\\$PWD", r"\/home"),
    ("$", "$"),
    ("a$ b", "a$ b"),
    ("$.", "$."),
    ("$PWDx", ""),
    ("$PWD-x", "/home-x"),
    ("$1x", "x"),
    ("$12x", "x"),
    ("$$PWD", "PWD"),
    ("$@$?$#$!$*$-", ""),
    ("${NONE}", ""),
    ("$NONE", ""),
    ("${GREEK}δ", "αβγδ"),
    ("$GREEKδ", ""),
    ("${NONE:-x}", "x"),
    ("${NULL:-x}", "x"),
    ("${NULL-x}", ""),
    ("${NONE-x}", "x"),
    ("${PWD:-x}", "/home"),
    ("${NONE:-}", ""),
    ("${NONE:-$SHELL}", "bash"),
    ("${NONE:-${NULL:-deep}}", "deep"),
    ("${NONE:-'q u'}", "q u"),
    ("${NONE:-a:b}", "a:b"),
    (r"${NONE:-a\}b}", "a}b"),
    ("${PWD:+x}", "x"),
    ("${NULL:+x}", ""),
    ("${NULL+x}", "x"),
    ("${NONE+x}", ""),
    ("${NONE:+x}", ""),
    ("${PWD:+$SHELL}", "bash"),
    ("${PWD?m}", "/home"),
    ("${PWD:?m}", "/home"),
    ("${NULL?m}", ""),
    ("${X#x}", "xyy"),
    ("${X##*x}", "yy"),
    ("${X#*x}", "xyy"),
    ("${X#*}", "xxyy"),
    ("${X##*}", ""),
    ("${X#}", "xxyy"),
    ("${X%y}", "xxy"),
    ("${X%%y*}", "xx"),
    ("${X%y*}", "xxy"),
    ("${X%%?}", "xxy"),
    ("${X%nothing}", "xxyy"),
    ("${NONE#x}", ""),
    ("${X#$NULL}", "xxyy"),
    ("${X/x/a}", "axyy"),
    ("${X//x/a}", "aayy"),
    ("${X//x/}", "yy"),
    ("${X/x?/-}", "-yy"),
    ("${X/*/-}", "-"),
    ("${X//*/-}", "-"),
    ("${X/nothing/-}", "xxyy"),
    ("${X/$NULL/w}", "wxxyy"),
    ("${X///w}", "wxwxwywyw"),
    ("${X///}", "xxyy"),
    ("${PWD/\\//:}", ":home"),
    (r"${PWD//\//\/}", r"\/home"),
    ("${NONE/x/y}", ""),
    ("x-${NULL:+-}${NONE:-.}", "x-."),
]


@pytest.mark.parametrize(("text", "expected"), EXPANDED)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


WRONG = [
    ("'x", "unexpected end of statement while looking for matching single-quote"),
    ('"x', "unexpected end of statement while looking for matching double-quote"),
    ("${", "syntax error: missing '}'"),
    ("${}", "syntax error: bad substitution"),
    ("${{x}", "syntax error: bad substitution"),
    ("${:x}", "syntax error: bad substitution"),
    ("${x", "unsupported modifier (\ufffd) in substitution"),
    ("${x=y}", "unsupported modifier (=) in substitution"),
    ("${x:=y}", "unsupported modifier (:=) in substitution"),
    ("${x:#y}", "unsupported modifier (:#) in substitution"),
    ("${x:%%y}", "unsupported modifier (:%) in substitution"),
    ("${x:-y", "syntax error: missing '}'"),
    ("${x:-'y}", "syntax error: missing '}'"),
    ("${x//}", "syntax error: missing '/' in ${}"),
    ("${x//y}", "syntax error: missing '/' in ${}"),
    ("${x/y/z", "syntax error: missing '}'"),
    ("${x?}", "x: is not allowed to be unset"),
    ("${NULL:?}", "NULL: is not allowed to be empty"),
    ("${x:?say $SHELL}", "x: say bash"),
    (r"${X#\x}", r"invalid pattern (\x) in substitution: invalid escape '\x'"),
]


@pytest.mark.parametrize(("text", "reason"), WRONG)
def test_errors_say_which_text(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand(text, VARIABLES)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert caught.value.reason == f'failed to process "{quoted}": {reason}'


WORDS = [
    ("hello", ["hello"]),
    ("  hello  you ", ["hello", "you"]),
    ("hello${hi}bye", ["hellobye"]),
    ("hello${V3}bye", ["helloabc", "def", "ghibye"]),
    ("'$V3'", ["$V3"]),
    ('"$V3"', ["abc def ghi"]),
    ('hi"$V3"x', ["hiabc def ghix"]),
    ("$NONE", []),
    ("''", []),
    ("a ''", ["a"]),
    (r"a\ b c", ["a b", "c"]),
    ("'a b' c", ["a b", "c"]),
    ("x $V3 y", ["x", "abc", "def", "ghi", "y"]),
    ("${NONE:-a b}", ["a", "b"]),
    ("a\tb\nc", ["a", "b", "c"]),
    ("a\u3000b", ["a", "b"]),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_splitting_comes_after_expansion(text: str, expected: list[str]) -> None:
    assert list(split(text, {"V3": "abc def ghi"})) == expected


def test_other_escape() -> None:
    assert expand("a`$x \\$x", {"x": "1"}, "`") == "a$x \\1"
    assert expand('"`"\\"', {}, "`") == '"\\'
    assert expand("C:\\x", {}, "`") == "C:\\x"


def test_known_and_unknown_variables_are_told() -> None:
    expanded = Lexer().read("${A-x} $B ${C:+d} '$E' $1", {"A": "1", "C": ""})
    assert (expanded.known, expanded.unknown) == ({"A", "C"}, {"B", "1"})


def test_raw_reading_keeps_what_it_cannot_replace() -> None:
    lexer = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)
    text = r"""RUN "a $x" 'b' \$ c${y:-z} ${p/q/r} ${s} d\ e"""
    expanded = lexer.read(text, {})
    assert expanded.text == text
    assert expanded.words == (
        "RUN", '"a $x"', "'b'", r"\$", "c${y:-z}", "${p/q/r}", "${s}", r"d\ e",
    )  # fmt: skip


def test_quotes_may_mean_nothing() -> None:
    assert Lexer(quotes=False).read('it\'s "$x"', {"x": "1"}).text == 'it\'s "1"'


def test_no_text_takes_endless_time_or_room() -> None:
    with pytest.raises(DockerfileError, match="inside each other"):
        expand("${x:-" * 10_000, {})
    with pytest.raises(DockerfileError, match="longer than"):
        expand("$x" * 64, {"x": "y" * 20_000})
    with pytest.raises(DockerfileError, match="longer than"):
        expand("${x///long}", {"x": "y" * 250_000})
    many = {"x": "a" * 20_000}
    assert expand("${x//a*a*a*a*b/}", many) == many["x"]
    assert expand("${x##*a*a*a*a*b}", many) == many["x"]
    assert expand("${x%%*a*a*a*a*b}", many) == many["x"]
