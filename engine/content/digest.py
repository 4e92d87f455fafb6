"""Digests as OCI writes them (`sha256:<hex>`), and the chain ids made of them."""

import hashlib
import re
from collections.abc import Iterable

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


class InvalidDigest(ValueError):
    """The text is no sha256 digest."""


def check(text: str) -> str:
    """`text` itself when it is a sha256 digest; raises InvalidDigest otherwise."""
    if not _FORM.fullmatch(text):
        raise InvalidDigest(f"invalid digest {text!r}: wanted sha256: and 64 hex digits")
    return text


def hexadecimal(digest: str) -> str:
    """The 64 hex digits of a digest; safe as a file name because the form is checked."""
    return check(digest).removeprefix("sha256:")


def of(content: bytes) -> str:
    """The digest of bytes in memory."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Chain id of each layer, lowest first (OCI image spec, config.md "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        check(diff_id)
        chain.append(of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
