"""How an engine tells its interfaces, rules and names from those of another on the same machine."""

import hashlib
from pathlib import Path

from engine.values import dataclass

MAIN_BRIDGE = "cove0"
_ALIAS = "cove "


@dataclass(frozen=True)
class Identity:
    """Names made from the engine's root. `group` is the link group of every interface of it."""

    tag: str
    group: int
    root: Path

    @classmethod
    def of(cls, root: Path) -> "Identity":
        """The identity of the engine whose state is at `root`."""
        digest = hashlib.sha256(str(root.resolve()).encode()).digest()
        # The kernel keeps group 0 for everything else and prints it as a signed number.
        group = 0x10000000 | int.from_bytes(digest[:4], "big") & 0x6FFFFFFF
        return cls(digest.hex()[:8], group, root.resolve())

    @property
    def alias(self) -> str:
        """What bridges carry, so that they can be removed once the engine's root is gone."""
        return f"{_ALIAS}{self.root}"

    @property
    def bridge(self) -> str:
        """The default bridge's name where another engine has the main one."""
        return f"cv-{self.tag}"

    @classmethod
    def behind(cls, alias: str) -> "Identity | None":
        """The engine that made a bridge with this alias, or None."""
        return cls.of(Path(alias.removeprefix(_ALIAS))) if alias.startswith(_ALIAS) else None

    def table(self, bridge: str) -> str:
        """The nftables table of the engine whose default bridge this is."""
        return "cove" if bridge == MAIN_BRIDGE else f"cove-{self.tag}"

    def veth(self, endpoint_id: str) -> str:
        """The machine's end of a container's interface (15 characters at most)."""
        return f"v{self.tag[:5]}{endpoint_id[:8]}"
