"""What a source of ADD, or a build's context, is: a path, a URL, or a git repository."""

import re

_GIT_PATH = re.compile(r"https?://[^#?]*\.git(?:[#?].*)?", re.DOTALL)
_SCP = re.compile(r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:.*", re.DOTALL)
_GIT_PREFIXES = ("git://", "ssh://", "git+ssh://", "git+https://", "git+http://", "github.com/")


def is_git(source: str) -> bool:
    """Whether it names a git repository (`https://host/x.git#branch:folder`, `git@host:x`)."""
    return (
        source.startswith(_GIT_PREFIXES)
        or _GIT_PATH.fullmatch(source) is not None
        or _SCP.fullmatch(source) is not None
    )


def is_url(source: str) -> bool:
    """Whether it is a file to fetch by HTTP."""
    return source.startswith(("http://", "https://")) and not is_git(source)
