"""Keys of the build cache: the digest of everything that decides about a step's result."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any


def key_of(**parts: Any) -> str:
    """The key (hex) of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def step_key(before: str, operation: Mapping[str, Any], **more: Any) -> str:
    """The key of a step that changes nothing but the config, after all that led to it."""
    return key_of(before=before, op=operation, **more)


def layer_key(below: str, operation: Mapping[str, Any], files: str = "") -> str:
    """The key of a step that writes files on top of the layer `below` (a chain id).

    files: digest of what it copies or mounts.
    """
    return key_of(below=below, op=operation, files=files)


def unique(key: str) -> str:
    """A key that nobody else has: the work behind it is done again and shared with nobody."""
    return f"{key}-{secrets.token_hex(8)}"
