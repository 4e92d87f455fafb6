"""The keys of an instance: made on the host, handed to the guest, pinned at both ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from desktop.failure import Failure


@dataclass(frozen=True)
class Keys:
    """Where the two private keys lie; each has its public line beside it with `.pub`."""

    host: Path
    user: Path

    @property
    def host_public(self) -> Path:
        return self.host.with_suffix(".pub")

    @property
    def user_public(self) -> Path:
        return self.user.with_suffix(".pub")


def prepare(host: Path, user: Path) -> Keys:
    """Make the keys that are missing (ed25519, OpenSSH's format, 0600); raises Failure."""
    keys = Keys(host, user)
    for path, comment in ((host, "cove-vm"), (user, "cove-user")):
        try:
            if not path.exists() or not path.with_suffix(".pub").exists():
                _make(path, comment)
        except OSError as error:
            raise Failure(
                f"The key {path} can't be made.",
                f"{error.strerror}.",
                "Make room on the disk, and its folder writable for you.",
            ) from error
    return keys


def _make(path: Path, comment: str) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    _write(path.with_suffix(".pub"), public + b" " + comment.encode() + b"\n", 0o644)
    _write(path, private, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
