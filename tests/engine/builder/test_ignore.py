"""What a build leaves out."""

from __future__ import annotations

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.ignore import Matcher, read


def test_read() -> None:
    text = "\ufefftest1\r\n/test2\n/a/file\n\n # none\n# comment\n! /back\n!\n!  \n a/../b/ "
    assert read(text) == ("test1", "test2", "a/file", "# none", "!back", "!", "!", "b")
    assert read("") == ()
    assert read("/") == ("/",)


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        ([], "a", False),
        (["*"], "fileutils.go", True),
        (["*.go"], "fileutils.go", True),
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/other", True),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["  docs ", "  !docs/a  "], "docs/a", False),
        (["*.go"], ".", False),
        (["**"], "", False),
        (["a*"], "ab/c", True),
        (["a/*.txt"], "a/dir/file.txt", False),
        (["**/dir"], "x/dir/deep/file", True),
        (["dir/"], "dir/file/", True),
        (["**", "!util/web"], "util/web/foo", False),
        (["**", "!util/web", "util/web/foo"], "util/web/foo", True),
        (["**", "!util/web", "util/web/foo"], "util/web/bar", False),
        (["**", "!dist/*.whl"], "dist/p-1.0+g08.whl", False),
        (["a.|)$(}+{bc"], "a.|)$(}+{bc", True),
        (["./a"], "a", True),
        (["a//b"], "a/b", True),
        ([r"a\\"], "a\\", True),
        (["", "  "], "a", False),
        (["dir/*", "!dir"], "dir/a", True),
        (["*", "dir/*", "!dir"], "dir/a", False),
    ],
)
def test_ignored(patterns: list[str], path: str, expected: bool) -> None:
    matcher = Matcher(patterns)
    assert matcher.ignored(path) is expected
    assert matcher.ignored(path) is expected  # also with what it remembers


@pytest.mark.parametrize("pattern", ["!", "[", "a[", "!["])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(DockerfileError):
        Matcher([pattern])


@pytest.mark.parametrize(
    ("patterns", "folder", "expected"),
    [
        (["a"], "b", True),
        (["a"], "a", False),
        (["a"], "a/b", False),
        (["a", "!a/b/c"], "a", True),
        (["a", "!a/b/c"], "a/b", True),
        (["a", "!a/b/c"], "a/x", False),
        (["*", "!**/*.py"], "deep/er", True),
        (["*", "!s*c/x"], "src", True),
        (["*", "!s*c/x"], "other", False),
        (["*", "!src"], "src/deep", True),
    ],
)
def test_could_hold(patterns: list[str], folder: str, expected: bool) -> None:
    assert Matcher(patterns).could_hold(folder) is expected


def test_a_matcher_without_patterns_is_false() -> None:
    assert not Matcher(["", " "]) and Matcher(["a"])


def test_many_files_take_little_time() -> None:
    matcher = Matcher(["**/node_modules", "*.log", "build", "!build/keep", "**/*.tmp"])
    left = sum(
        not matcher.ignored(f"src/m{folder}/f{file}.c")
        for folder in range(40)
        for file in range(25)
    )
    assert left == 1000
