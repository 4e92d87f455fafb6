"""Image references by Docker's grammar (github.com/distribution/reference, grammar in its doc.go).

A reference is always kept normalized (`docker.io/library/busybox`); `familiar` gives what people
type.
"""

import re
from typing import Self

from engine.errors import BadRequest
from engine.values import dataclass, replace

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_NAME_LIMIT = 255

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_TAG_ONLY = re.compile(_TAG)
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


class InvalidReference(BadRequest):
    """The text is no reference; the message is Docker's."""


@dataclass(frozen=True)
class Reference:
    """A normalized reference: domain, path, and a tag, a digest, both or neither."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a user typed. Raises InvalidReference with Docker's words."""
        if _IDENTIFIER.fullmatch(text):
            raise InvalidReference(
                f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )
        domain, remainder = _split(text)
        remote = remainder.split(":", 1)[0]  # with `name@algorithm`, too: Docker's words
        if remote.lower() != remote:
            raise InvalidReference(
                f"invalid reference format: repository name ({remote}) must be lowercase"
            )
        match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
        if match is None:
            raise InvalidReference("invalid reference format")
        reference = cls(**match.groupdict())
        if len(reference.path) > _NAME_LIMIT:
            raise InvalidReference(
                f"repository name must not be more than {_NAME_LIMIT} characters"
            )
        if reference.digest is not None:
            _check_digest(reference.digest)
        return reference

    @property
    def name(self) -> str:
        """Domain and path, the repository's full name."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository's name as people type it."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        bare = self.path.removeprefix("library/")
        return bare if "/" not in bare else self.path

    @property
    def familiar(self) -> str:
        """The whole reference as people type it."""
        return self.familiar_name + self._suffix

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Self:
        """`latest` where neither tag nor digest stands."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Self:
        """Another tag, no digest. Raises InvalidReference."""
        if not _TAG_ONLY.fullmatch(tag):
            raise InvalidReference("invalid tag format")
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Self:
        """A digest, no tag. Raises InvalidReference."""
        _check_digest(digest)
        return replace(self, tag=None, digest=digest)


def _split(text: str) -> tuple[str, str]:
    """Domain and the rest; what doesn't look like a domain belongs to Docker Hub."""
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, f"library/{text}"
    is_domain = any(mark in first for mark in ".:") or first == "localhost"
    if is_domain or first.lower() != first:
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = f"library/{remainder}"
    return domain, remainder


def _check_digest(digest: str) -> None:
    """As go-digest does: its algorithms, their lengths, lower case."""
    algorithm, _, hexa = digest.partition(":")
    length = _HEX_DIGITS.get(algorithm)
    if length is None:
        raise InvalidReference("unsupported digest algorithm")
    if len(hexa) != length:
        raise InvalidReference("invalid checksum digest length")
    if set(hexa) - set("0123456789abcdef"):
        raise InvalidReference("invalid checksum digest format")


def is_identifier(text: str) -> bool:
    """Whether the text is a full image id, with or without `sha256:`."""
    return bool(_IDENTIFIER.fullmatch(text.removeprefix("sha256:")))
