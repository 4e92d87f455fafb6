"""Detach keys: find the sequence (ctrl-p ctrl-q) in what a client types."""

from engine.errors import BadRequest

DEFAULT = b"\x10\x11"
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """`ctrl-a,b` -> bytes; the default for an empty string. Raises BadRequest."""
    if not text:
        return DEFAULT
    keys = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            keys.append(ord(key))
            continue
        letter = key.removeprefix("ctrl-")
        if key.startswith("ctrl-") and len(letter) == 1:
            if "a" <= letter <= "z":
                keys.append(ord(letter) - ord("a") + 1)
                continue
            if letter in _SPECIAL:
                keys.append(_SPECIAL[letter])
                continue
        raise BadRequest(f"Unknown character: '{key}'")
    return bytes(keys)


class DetachWatch:
    """Passes input on and notices the key sequence, which may come in several pieces."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what the container gets, whether the client asked to detach)."""
        if not self.matched and self.keys[:1] not in data:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self.keys[self.matched]:
                self.matched += 1
                if self.matched == len(self.keys):
                    self.matched = 0
                    return bytes(out), True
                continue
            out += self.keys[: self.matched]
            self.matched = 0
            if byte == self.keys[0]:
                self.matched = 1
            else:
                out.append(byte)
        return bytes(out), False
