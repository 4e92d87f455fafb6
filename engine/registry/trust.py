"""Whom to trust at a registry: the system's CAs, and what `certs.d/HOST[:PORT]/` adds.

`*.crt` are CAs to trust, `NAME.cert` with `NAME.key` a certificate to show. A registry that is
marked as insecure may show any certificate.
"""

import ipaddress
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from engine.errors import EngineError
from engine.registry.settings import Settings


class CertificatesInvalid(EngineError):
    """A registry's folder of certificates can't be used; names the file."""


def is_insecure(settings: Settings, domain: str) -> bool:
    """Whether a registry (`host[:port]`) may speak plain HTTP or show any certificate."""
    host = (urlsplit(f"//{domain}").hostname or "").lower()
    if domain in settings.insecure or host in settings.insecure:
        return True
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    networks = (ipaddress.ip_network(w, strict=False) for w in settings.insecure if "/" in w)
    return any(address in network for network in networks)


def folders(settings: Settings, domain: str) -> list[Path]:
    """The folders of certificates that there are for a registry."""
    found = (folder / domain for folder in settings.certificates)
    return [folder for folder in found if folder.is_dir()]


def context(settings: Settings, registry: str, shown_to: str) -> ssl.SSLContext:
    """For a connection to `shown_to` on behalf of a registry.

    The registry's CAs count for what it points to as well (its token server, its store); its
    client certificate is shown to itself alone. Raises CertificatesInvalid.
    """
    own = shown_to == registry
    made = ssl.create_default_context()
    if is_insecure(settings, shown_to) or (own and is_insecure(settings, registry)):
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for folder in {*folders(settings, registry), *folders(settings, shown_to)}:
        for authority in sorted(folder.glob("*.crt")):
            _load(authority, made.load_verify_locations)
    for folder in folders(settings, shown_to):
        _show(made, folder)
    return made


def _show(made: ssl.SSLContext, folder: Path) -> None:
    for certificate in sorted(folder.glob("*.cert")):
        key = certificate.with_suffix(".key")
        if not key.exists():
            raise CertificatesInvalid(
                f"missing key {key.name} for client certificate {certificate.name} in {folder}; "
                "CA certificates must use the extension .crt"
            )
        _load(certificate, partial(made.load_cert_chain, keyfile=key))
    for key in sorted(folder.glob("*.key")):
        if not key.with_suffix(".cert").exists():
            raise CertificatesInvalid(
                f"missing client certificate {key.with_suffix('.cert').name} for key {key.name} "
                f"in {folder}"
            )


def _load(file: Path, load: Callable[[Path], None]) -> None:
    try:
        load(file)
    except (OSError, ssl.SSLError) as error:
        raise CertificatesInvalid(f"can't use the certificate {file}: {error}") from error
