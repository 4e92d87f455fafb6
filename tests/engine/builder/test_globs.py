"""Patterns of file names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.builder.globs import BadPattern, Glob, is_wild, match

MATCHES = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*", "", True),
    ("*c", "abc", True),
    ("a*", "ab/c", False),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^e-g]", "abc", True),
    ("ab[!c]", "ab!", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "acb", False),
    ("a?b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("a?b", "a/b", False),
    (r"[\]a]", "]", True),
    (r"[\-x]", "-", True),
    (r"[x\-]", "z", False),
    ("[b-a]", "a", False),
    ("[^b-a]", "a", True),
    ("]", "]", True),
    ("**", "a/b", False),
    ("a.b", "axb", False),
    ("a+(b){1}|^$", "a+(b){1}|^$", True),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), MATCHES)
def test_match(pattern: str, name: str, expected: bool) -> None:
    assert match(pattern, name) is expected


@pytest.mark.parametrize(
    "pattern", ["[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "[\\"]
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadPattern, match="syntax error in pattern"):
        match(pattern, "a")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir/a/file", True),
        ("dir/**", "dir", False),
        ("**/dir", "dir", True),
        ("**/dir", "a/dir", True),
        ("**/dir", "a/dir/b", False),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir3/file", True),
        ("**file", "dir/file", True),
        ("**file", "dir/afile", True),
        ("**/file", "dir/afile", False),
        ("**f*e", "dir/afile", False),
        ("**/file*.txt*", "dir/dir/file.txt", True),
        ("**/**/*.txt", "file.txt", True),
        ("**/**/*.txt2", "file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False),
        ("**/.foo", "bar.foo", False),
        ("a[^b]c", "a/c", True),
    ],
)
def test_two_stars_go_through_folders(pattern: str, name: str, expected: bool) -> None:
    glob = Glob(pattern, deep=True)
    assert glob.matches(name) is expected
    assert glob._matches_stepwise(name) is expected


def test_many_stars_take_little_time() -> None:
    glob = Glob("**/a*a*a*a*a*a*a*a*a*b", deep=True)
    assert not glob.matches("a" * 2000)
    assert glob.matches("x/" + "a" * 500 + "b")


def test_is_wild() -> None:
    assert [is_wild(text) for text in ("a", "a*", "a?", "[a]", r"a\b")] == [False, *[True] * 4]


@settings(max_examples=60, deadline=None)
@given(st.text("ab/*?[]^-\\", max_size=7), st.text("ab/", max_size=8), st.booleans())
def test_both_ways_agree(pattern: str, name: str, deep: bool) -> None:
    try:
        glob = Glob(pattern, deep=deep)
    except BadPattern:
        return
    except re.error as error:
        raise AssertionError(f"{pattern!r} became no regular expression") from error
    assert glob.matches(name) is glob._matches_stepwise(name)
