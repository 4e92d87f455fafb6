"""Questions to a registry that change nothing here: a login, an image's descriptor."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.errors import Unauthorized
from engine.images.reference import DEFAULT_DOMAIN, Reference
from engine.registry import media
from engine.registry.auth import Credentials
from engine.registry.client import Client
from engine.registry.errors import RegistryError, pull_error
from engine.registry.platforms import Platform


def login_domain(address: str) -> str:
    """The registry that a login's server address means; Docker Hub has an old one of its own."""
    host = urlsplit(address if "://" in address else f"//{address}").netloc
    hub = ("", "docker.io", "index.docker.io", "registry-1.docker.io")
    return DEFAULT_DOMAIN if host in hub else host


async def login(wire: Mapping[str, Any]) -> str:
    """Try credentials at their registry; an identity token if it gives one ("" so far).

    Raises Unauthorized, Unreachable.
    """
    domain = login_domain(str(wire.get("serveraddress") or ""))
    client = Client(domain, "", Credentials.of(wire))
    try:
        await asyncio.to_thread(client.login)
    except RegistryError as error:
        raise Unauthorized(f"login attempt to {domain} failed: {error}") from error
    finally:
        client.close()
    return ""


async def describe(name: str, auth: Mapping[str, Any]) -> tuple[dict[str, Any], list[Platform]]:
    """Descriptor (mediaType, digest, size) and platforms of an image at its registry."""
    reference = Reference.parse(name).with_default_tag()
    client = Client(reference.domain, reference.path, Credentials.of(auth))
    try:
        return await asyncio.to_thread(_describe, client, reference)
    except RegistryError as error:
        raise pull_error(error, reference.familiar, reference.familiar_name) from error
    finally:
        client.close()


def _describe(client: Client, reference: Reference) -> tuple[dict[str, Any], list[Platform]]:
    manifest = client.manifest(reference.digest or reference.tag or "")
    document = manifest.document
    descriptor = {
        "mediaType": document.get("mediaType") or manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.content),
    }
    if descriptor["mediaType"] in media.INDEXES:
        stated = [each.get("platform") for each in document.get("manifests") or ()]
        return descriptor, [Platform.of(each) for each in stated if each]
    config = document.get("config") or {}
    if "digest" not in config:
        return descriptor, []
    import json

    return descriptor, [Platform.of(json.loads(client.small_blob(config["digest"])))]
