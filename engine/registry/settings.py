"""What an engine is told of registries: ROOT/daemon.json with Docker's names, and the environment.

Keys: registry-mirrors, insecure-registries, proxies, max-concurrent-downloads,
max-concurrent-uploads, max-download-attempts. The file is read once, at the engine's start.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from engine.errors import EngineError
from engine.values import dataclass

FILE = "daemon.json"
LOOPBACK = ("::1/128", "127.0.0.0/8")
_SYSTEM_CERTIFICATES = Path("/etc/docker/certs.d")
_PROXIES = {"http-proxy": "http", "https-proxy": "https", "no-proxy": "bypass"}
_KEYS = frozenset(
    {
        "registry-mirrors",
        "insecure-registries",
        "proxies",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
    }
)


class SettingsInvalid(EngineError):
    """The settings file can't be followed; names the file, the key and what is wanted."""


@dataclass(frozen=True)
class Proxies:
    """Addresses of proxies by the scheme of what is asked; hosts that are reached without."""

    http: str = ""
    https: str = ""
    bypass: str = ""

    @property
    def masked(self) -> "Proxies":
        """As `docker info` may show them: without users and passwords."""
        return Proxies(_masked(self.http), _masked(self.https), self.bypass)


def _masked(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://xxxxx:xxxxx@{host}" if at and user else url


@dataclass(frozen=True)
class Settings:
    """How registries are reached.

    mirrors stand in front of Docker Hub. insecure: `host`, `host:port` and networks (CIDR) that
    may speak plain HTTP or show any certificate. certificates: folders with one folder a registry.
    """

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = LOOPBACK
    proxies: Proxies = Proxies()
    downloads: int = 3
    uploads: int = 5
    attempts: int = 5
    certificates: tuple[Path, ...] = (_SYSTEM_CERTIFICATES,)
    # why the file isn't followed; "" when it is
    refused: str = ""

    @classmethod
    def load_leniently(cls, root: Path, environment: Mapping[str, str] = os.environ) -> Self:
        """The same, without the file when it can't be followed: `refused` then says why.

        In the VM an engine that doesn't start would leave nobody a way to mend the file.
        """
        try:
            return cls.load(root, environment)
        except SettingsInvalid as error:
            return cls(
                proxies=_proxies({}, environment),
                certificates=(root / "certs.d", _SYSTEM_CERTIFICATES),
                refused=str(error),
            )

    @classmethod
    def load(cls, root: Path, environment: Mapping[str, str] = os.environ) -> Self:
        """Of an engine's root and its environment. Raises SettingsInvalid."""
        file = root / FILE
        stated = _read(file)
        try:
            return cls(
                mirrors=tuple(_mirror(each) for each in _words(stated, "registry-mirrors")),
                insecure=LOOPBACK + tuple(_insecure(stated)),
                proxies=_proxies(stated.get("proxies") or {}, environment),
                downloads=_count(stated, "max-concurrent-downloads", 3),
                uploads=_count(stated, "max-concurrent-uploads", 5),
                attempts=_count(stated, "max-download-attempts", 5),
                certificates=(root / "certs.d", _SYSTEM_CERTIFICATES),
            )
        except ValueError as error:
            raise SettingsInvalid(f"{file}: {error}") from error


def _read(file: Path) -> Mapping[str, Any]:
    try:
        stated = json.loads(file.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"can't read the settings in {file}: {error}") from error
    if not isinstance(stated, dict):
        raise SettingsInvalid(f"{file}: wanted a JSON object")
    unknown = sorted(stated.keys() - _KEYS)
    if unknown:
        raise SettingsInvalid(
            f"{file}: the following directives don't match any configuration option: "
            f"{', '.join(unknown)} (there are: {', '.join(sorted(_KEYS))})"
        )
    return stated


def _words(stated: Mapping[str, Any], key: str) -> list[str]:
    words = stated.get(key) or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{key}: wanted a list of texts")
    return words


def _count(stated: Mapping[str, Any], key: str, default: int) -> int:
    number = stated.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 1000:
        raise ValueError(f"{key}: wanted a number from 1 to 1000, got {number!r}")
    return number


def _mirror(text: str) -> str:
    """A mirror's address as `scheme://host[:port]`."""
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'registry-mirrors: invalid mirror "{text}": wanted http(s)://host[:port]')
    if parts.username or parts.password:
        raise ValueError("registry-mirrors: invalid mirror: it must not hold a user or password")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f'registry-mirrors: invalid mirror: path, query, or fragment at end of the URI "{text}"'
        )
    return f"{parts.scheme}://{parts.netloc}"


def _insecure(stated: Mapping[str, Any]) -> list[str]:
    import ipaddress

    found = []
    for word in _words(stated, "insecure-registries"):
        if word.startswith(("http://", "https://")):
            raise ValueError(
                f"insecure-registries: insecure registry {word} should not contain '://'"
            )
        if "/" in word:
            ipaddress.ip_network(word, strict=False)
        found.append(word)
    return found


def _proxies(stated: Any, environment: Mapping[str, str]) -> Proxies:
    if not isinstance(stated, dict):
        raise ValueError('proxies: wanted an object like {"https-proxy": "http://host:port"}')
    unknown = sorted(stated.keys() - _PROXIES)
    if unknown:
        raise ValueError(
            f"proxies: unknown {', '.join(unknown)} (there are: {', '.join(_PROXIES)})"
        )
    chosen = {}
    for key, name in _PROXIES.items():
        variable = key.replace("-", "_")
        text = stated.get(key) or environment.get(variable.upper()) or environment.get(variable)
        chosen[name] = str(text or "")
    for name in ("http", "https"):
        if chosen[name] and "://" not in chosen[name]:
            chosen[name] = f"http://{chosen[name]}"
        if chosen[name] and not chosen[name].startswith("http://"):
            raise ValueError(f"{name}-proxy: only proxies that are reached by http:// are known")
    return Proxies(**chosen)
