"""A streaming tar reader: ustar, pax and GNU (long names, sparse), nothing of it seeks.

Names stay bytes: what a file is called is nobody's text. Formats: pax(1) of POSIX, tar(5) of GNU.
"""

from collections.abc import Iterator

from engine.values import dataclass, field

BLOCK = 512
_META_LIMIT = 1 << 20  # a pax header or long name beyond this is an attack, not a name


class TarError(Exception):
    """The stream is no tar, or a damaged one."""


@dataclass(slots=True)
class Entry:
    """One member. `type` is the tar type flag (b"0", b"5"...); mtime in nanoseconds.

    size: bytes that follow in the stream. real_size: bytes of the file, larger when sparse.
    holes: (offset, length) of the data pieces of a sparse file, in order; None for a plain one.
    """

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    major: int = 0
    minor: int = 0
    real_size: int = 0
    holes: list[tuple[int, int]] | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


class Source:
    """Exact reads over an iterator of byte pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._view = memoryview(b"")

    def exactly(self, size: int) -> bytes:
        """`size` bytes; raises TarError at an early end."""
        view = self._view
        if len(view) >= size:
            self._view = view[size:]
            return bytes(view[:size])
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes without a copy, in pieces; must be read to the end."""
        while size:
            view = self._view
            if not view:
                piece = next(self._pieces, None)
                if piece is None:
                    raise TarError("unexpected end of the tar stream")
                view = memoryview(piece)
            part = view[:size]
            self._view = view[len(part) :]
            size -= len(part)
            yield part

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        for _ in self.pieces(size):
            pass

    def at_end(self) -> bool:
        """Whether nothing at all follows."""
        while not self._view:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._view = memoryview(piece)
        return False

    def drain(self) -> None:
        """Read what is left, so that digests cover it."""
        self._view = memoryview(b"")
        for _ in self._pieces:
            pass


def _text(raw: bytes) -> bytes:
    end = raw.find(b"\0")
    return raw if end < 0 else raw[:end]


def _number(raw: bytes) -> int:
    if raw[0] & 0x80:  # base 256, two's complement without the marker bit
        value = int.from_bytes(raw, "big")
        bits = 8 * len(raw)
        return value - (1 << bits) if raw[0] == 0xFF else value & ((1 << (bits - 1)) - 1)
    text = raw.strip(b" \0")
    if not text:
        return 0
    try:
        return int(text.split(b"\0", 1)[0], 8)
    except ValueError as error:
        raise TarError(f"invalid number {raw!r} in a tar header") from error


def _decimal(raw: bytes) -> int:
    try:
        return int(raw)
    except ValueError as error:
        raise TarError(f"invalid number {raw[:40]!r} in a pax header") from error


def nanoseconds(raw: bytes) -> int:
    """A pax time ("12.5", "-3") as nanoseconds."""
    whole, _, fraction = raw.partition(b".")
    digits = fraction[:9].ljust(9, b"0")
    if fraction and not digits.isdigit():
        raise TarError(f"invalid time {raw[:40]!r} in a pax header")
    rest = int(digits)
    return _decimal(whole or b"0") * 1_000_000_000 + (-rest if raw.startswith(b"-") else rest)


def pax_records(raw: bytes) -> dict[bytes, bytes]:
    """The records of a pax header. Raises TarError."""
    records: dict[bytes, bytes] = {}
    while raw.strip(b"\0"):
        length, space, _ = raw.partition(b" ")
        end = _decimal(length) if space and len(length) < 12 else 0
        if not len(length) + 1 < end <= len(raw) or raw[end - 1 : end] != b"\n":
            raise TarError("invalid pax header")
        key, equals, value = raw[len(length) + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarError("invalid pax header")
        if key == b"GNU.sparse.offset":  # sparse 0.0 repeats its keys
            records[b"GNU.sparse.map"] = records.get(b"GNU.sparse.map", b"") + b"," + value
        elif key == b"GNU.sparse.numbytes":
            records[b"GNU.sparse.map"] = records.get(b"GNU.sparse.map", b"") + b"," + value
        else:
            records[key] = value
        raw = raw[end:]
    return records


def _pairs(numbers: list[bytes], limit: int) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise TarError("invalid sparse map")
    pieces: list[tuple[int, int]] = []
    end = 0
    for offset, length in zip(
        map(_decimal, numbers[::2]), map(_decimal, numbers[1::2]), strict=True
    ):
        if offset < end or length < 0 or offset + length > limit:
            raise TarError("invalid sparse map")
        end = offset + length
        pieces.append((offset, length))
    return pieces


class Reader:
    """Iterate for entries; read or skip an entry's body before the next one (`body()`)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._globals: dict[bytes, bytes] = {}
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            yield entry
        self._source.drain()

    def body(self) -> Iterator[memoryview]:
        """The entry's bytes, in pieces without copies."""
        size, self._left = self._left, 0
        return self._source.pieces(size)

    def _header(self) -> bytes | None:
        self._source.skip(self._left)
        padding, self._left, self._padding = self._padding, 0, 0
        # some writers leave out the two zero blocks at the end, or the last padding as well
        if self._source.at_end():
            return None
        self._source.skip(padding)
        if self._source.at_end():
            return None
        block = self._source.exactly(BLOCK)
        if not block.strip(b"\0"):
            return None
        expected = _number(block[148:156])
        total = sum(block)
        if total - sum(block[148:156]) + 256 != expected:
            raise TarError("invalid tar header (checksum)")
        return block

    def _meta(self, size: int) -> bytes:
        if not 0 <= size <= _META_LIMIT:
            raise TarError(f"a tar header of {size} bytes is too large")
        raw = self._source.exactly(size)
        self._source.skip(-size % BLOCK)
        return raw

    def _next(self) -> Entry | None:
        pax: dict[bytes, bytes] = {}
        long_name = long_link = b""
        while (block := self._header()) is not None:
            flag = block[156:157]
            size = _number(block[124:136])
            if flag == b"x":
                pax = pax_records(self._meta(size))
            elif flag == b"g":
                self._globals |= pax_records(self._meta(size))
            elif flag == b"L":
                long_name = _text(self._meta(size))
            elif flag == b"K":
                long_link = _text(self._meta(size))
            else:
                entry = self._entry(block, flag, size)
                entry.name = long_name or entry.name
                entry.link = long_link or entry.link
                if pax or self._globals:
                    self._apply(entry, {**self._globals, **pax})
                return self._sized(entry, block)
        return None

    def _entry(self, block: bytes, flag: bytes, size: int) -> Entry:
        name = _text(block[:100])
        if block[257:263] == b"ustar\0" and block[345]:
            name = _text(block[345:500]) + b"/" + name
        if flag in b"\0" or flag == b"7":
            flag = b"5" if flag != b"7" and name.endswith(b"/") else b"0"
        device = flag in (b"3", b"4")
        return Entry(
            name,
            flag,
            _number(block[100:108]) & 0o7777,
            _number(block[108:116]),
            _number(block[116:124]),
            size,
            _number(block[136:148]) * 1_000_000_000,
            _text(block[157:257]),
            _number(block[329:337]) if device else 0,
            _number(block[337:345]) if device else 0,
        )

    def _apply(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        for key, value in pax.items():
            if key == b"path":
                entry.name = value
            elif key == b"linkpath":
                entry.link = value
            elif key == b"size":
                entry.size = _decimal(value)
            elif key == b"uid":
                entry.uid = _decimal(value)
            elif key == b"gid":
                entry.gid = _decimal(value)
            elif key == b"mtime":
                entry.mtime = nanoseconds(value)
            elif key.startswith(b"SCHILY.xattr."):
                entry.xattrs[key[13:]] = value
        entry.name = pax.get(b"GNU.sparse.name", entry.name)
        real = pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size"))
        if real is not None and entry.type == b"0":
            entry.real_size = _decimal(real)
            numbers = [word for word in pax.get(b"GNU.sparse.map", b"").split(b",") if word]
            entry.holes = _pairs(numbers, entry.real_size)
            if pax.get(b"GNU.sparse.major") == b"1":
                entry.holes = None  # the map stands in front of the data
                entry.real_size = -entry.real_size - 1

    def _sized(self, entry: Entry, block: bytes) -> Entry:
        if entry.size < 0:
            raise TarError("negative size in a tar header")
        if entry.type not in (b"0", b"S"):
            # links and directories carry no body, though old writers put a size there
            if entry.type in (b"1", b"2", b"3", b"4", b"5", b"6"):
                entry.size = 0
            self._left, self._padding = entry.size, -entry.size % BLOCK
            return entry
        self._left, self._padding = entry.size, -entry.size % BLOCK
        if entry.type == b"S":
            self._old_sparse(entry, block)
        elif entry.real_size < 0:
            self._map_in_front(entry)
        elif entry.holes is None:
            entry.real_size = entry.size
        if entry.holes is not None and sum(length for _, length in entry.holes) != self._left:
            raise TarError("the sparse map doesn't fit the data")
        return entry

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        entry.type, entry.real_size = b"0", _number(block[483:495])
        raw, more = block[386:482], block[482]
        while more:
            extension = self._source.exactly(BLOCK)
            raw, more = raw + extension[:504], extension[504]
            if len(raw) > _META_LIMIT:
                raise TarError("invalid sparse map")
        numbers: list[bytes] = []
        for at in range(0, len(raw), 24):
            if raw[at : at + 24].strip(b"\0"):
                numbers += [
                    b"%d" % _number(raw[at : at + 12]),
                    b"%d" % _number(raw[at + 12 : at + 24]),
                ]
        entry.holes = _pairs(numbers, entry.real_size)

    def _map_in_front(self, entry: Entry) -> None:
        entry.real_size = -entry.real_size - 1
        raw = b""
        wanted = -1
        while wanted < 0 or raw.count(b"\n") < wanted:
            if self._left < BLOCK or len(raw) > _META_LIMIT:
                raise TarError("invalid sparse map")
            raw += self._source.exactly(BLOCK)
            self._left -= BLOCK
            if wanted < 0 and b"\n" in raw:
                wanted = 1 + 2 * _decimal(raw.split(b"\n", 1)[0])
                if not 0 < wanted < _META_LIMIT:
                    raise TarError("invalid sparse map")
        entry.holes = _pairs(raw.split(b"\n")[1:wanted], entry.real_size)
