"""What the host hands in by fw_cfg: names and shares, keys, the time."""

from __future__ import annotations

import os
import time

from cove_init.console import failed, say
from cove_init.network import GATEWAY
from cove_init.system import MS_NODEV, MS_NOSUID, mount, read, write

FOLDER = "/sys/firmware/qemu_fw_cfg/by_name/opt/cove"
HINT = "start the VM with `cove start`, which hands it in"
HOSTS = (
    "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {name}\n"
    f"{GATEWAY} host.docker.internal gateway.docker.internal\n"
)


def find(name: str) -> bytes | None:
    """A value by its name below opt/cove/, or None."""
    try:
        return read(f"{FOLDER}/{name}/raw")
    except OSError:
        return None


def place_keys() -> bool:
    """sshd's host key and the one user key that it takes; False (and told) if one is missing."""
    for name in ("host_key", "authorized_keys"):
        content = find(name)
        if not content:
            failed("sshd", f"the host handed in no opt/cove/{name} by fw_cfg", HINT)
            return False
        path = f"/run/cove/ssh/{name}"
        write(path, content.decode().rstrip() + "\n")
        os.chmod(path, 0o600)
    return True


def machine() -> dict:
    """The host's description of this machine, also written down for the engine; {} if none."""
    import json  # its import is dear; by now the engine is loading beside us

    content = find("machine") or b"{}"
    try:
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError as error:
        failed("settings", f"opt/cove/machine isn't JSON that this image reads: {error}", HINT)
        found = {}
    shares = [share for share in found.get("shares", ()) if valid_share(share)]
    found["shares"] = shares
    write("/run/cove/machine.json", json.dumps(found))
    return found


def valid_share(share: object) -> bool:
    """Whether a share names a device and an absolute path of the host."""
    if isinstance(share, dict):
        tag, path = share.get("tag"), share.get("path")
        if isinstance(tag, str) and isinstance(path, str) and path.startswith("/"):
            return True
    say(f"a share that names no tag and absolute path is left out: {share!r}")
    return False


def apply_name(name: object) -> None:
    """Host name and hosts file."""
    text = name if isinstance(name, str) and name else "cove"
    write("/proc/sys/kernel/hostname", text)
    write("/run/cove/hostname", text + "\n")
    write("/run/cove/hosts", HOSTS.format(name=text))


def apply_time(epoch: object) -> None:
    """The host's time, where the machine's clock lies behind it (no RTC, or a stale one)."""
    if isinstance(epoch, (int, float)) and time.time() < epoch - 2:
        time.clock_settime(time.CLOCK_REALTIME, float(epoch))
        say("the clock was set from the host's time")


def attach_shares(shares: list[dict]) -> None:
    """The host's folders, each below /host_mnt under the path that it has on the host."""
    for share in shares:
        tag, path = share["tag"], share["path"]
        target = f"/host_mnt{path}"
        try:
            os.makedirs(target, exist_ok=True)
            if share.get("type") == "virtiofs":
                mount(tag, target, "virtiofs", MS_NOSUID | MS_NODEV)
            else:
                words = "trans=virtio,version=9p2000.L,msize=512000,cache=none,access=any"
                mount(tag, target, "9p", MS_NOSUID | MS_NODEV, words)
        except OSError as error:
            hint = "is the folder there on the host, and readable? `cove config set shares ...`"
            failed("share", f"{path} (tag {tag}): {error.strerror}", hint)
        else:
            say(f"share ok {path}")
