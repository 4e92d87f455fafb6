"""Questions to a registry that change nothing here: a login, a descriptor, a search."""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from engine.errors import BadRequest, NotFound, Unauthorized, Unavailable
from engine.filters import Filters
from engine.images.reference import DEFAULT_DOMAIN, Reference
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.auth import Credentials
from engine.registry.client import Client
from engine.registry.endpoints import Endpoint, endpoints, own_endpoint
from engine.registry.errors import RegistryError, Unreachable, pull_error
from engine.registry.platforms import Platform

if TYPE_CHECKING:
    from engine.images.store import Store

T = TypeVar("T")
_HUB = ("", "docker.io", "index.docker.io", "registry-1.docker.io")
_INDEX = Endpoint("index.docker.io", "https://index.docker.io")
_LIMIT = 100
_DEFAULT_LIMIT = 25


def login_domain(address: str) -> str:
    """The registry that a login's server address means; Docker Hub has an old one of its own."""
    host = urlsplit(address if "://" in address else f"//{address}").netloc
    return DEFAULT_DOMAIN if host in _HUB else host


async def login(store: "Store", wire: Mapping[str, Any]) -> str:
    """Try credentials at their registry; an identity token if it gives one, else "".

    Raises Unauthorized, Unreachable.
    """
    domain = login_domain(str(wire.get("serveraddress") or ""))
    client = Client(
        own_endpoint(domain, store.registries), "", store.registries, Credentials.of(wire)
    )
    try:
        return await _ask(client, client.login)
    except RegistryError as error:
        message = str(error) if "://" in str(error) else f'Get "{client.base}/v2/": {error}'
        if error.http_status in (401, 403):
            raise Unauthorized(message) from error
        raise RegistryError("", message, error.http_status) from error


async def describe(
    store: "Store", name: str, auth: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Platform]]:
    """Descriptor (mediaType, digest, size) and platforms of an image at its registry.

    Docker Hub's mirrors are asked before it, without credentials, as for a pull.
    """
    reference = Reference.parse(name).with_default_tag()
    *mirrors, own = endpoints(reference.domain, store.registries)
    for mirror in mirrors:
        with contextlib.suppress(RegistryError, Unreachable, NotFound):
            return await _describe_at(store, mirror, reference, {})
    try:
        return await _describe_at(store, own, reference, auth)
    except RegistryError as error:
        raise pull_error(error, reference.familiar, reference.familiar_name) from error


async def _describe_at(
    store: "Store", endpoint: Endpoint, reference: Reference, auth: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Platform]]:
    client = Client(endpoint, reference.path, store.registries, Credentials.of(auth))
    return await _ask(client, lambda: _describe(client, reference))


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


async def search(
    store: "Store", term: str, limit: int | None, filters: Filters, auth: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Repositories that a registry's index finds, as the API shows them.

    Raises BadRequest for a wrong limit, NotFound where the registry has no search.
    """
    limit = _DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= _LIMIT:
        raise BadRequest(f"limit {limit} is outside the range of [1, {_LIMIT}]")
    conditions = _conditions(filters)
    endpoint, word = _searched(store, term)
    client = Client(endpoint, "", store.registries, Credentials.of(auth))
    try:
        found = await _ask(client, lambda: client.search(word, limit))
    except RegistryError as error:
        if error.http_status == 404:
            raise NotFound(
                f"the registry {endpoint.host} has no search (it knows no /v1/search): "
                "use its own page, or name the repository"
            ) from error
        if error.http_status in (401, 403):
            raise Unauthorized(f"searching {endpoint.host}: {error}") from error
        raise Unavailable(f"searching {endpoint.host}: {error}") from error
    shown = [_result(each) for each in found]
    return [each for each in shown if all(condition(each) for condition in conditions)]


def _searched(store: "Store", term: str) -> tuple[Endpoint, str]:
    """Where to search, and for what: a term may begin with a registry."""
    if "://" in term:
        raise BadRequest("invalid repository name: repository name can not have a scheme")
    first, slash, rest = term.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost"):
        if first not in _HUB:
            return own_endpoint(first, store.registries), rest
        term = rest
    return _INDEX, term.removeprefix("library/")


def _conditions(filters: Filters) -> list[Callable[[Mapping[str, Any]], bool]]:
    filters.check(("is-automated", "is-official", "stars"))
    found: list[Callable[[Mapping[str, Any]], bool]] = []
    for key, name in (("is-official", "is_official"), ("is-automated", "is_automated")):
        if key in filters:
            found.append(partial(_is, name, filters.boolean(key)))
    for word in filters.values("stars"):
        if not word.isdigit():
            raise BadRequest(f"invalid filter 'stars={word}'")
        found.append(partial(_has_stars, int(word)))
    return found


def _is(name: str, wanted: bool, each: Mapping[str, Any]) -> bool:
    return each[name] is wanted


def _has_stars(least: int, each: Mapping[str, Any]) -> bool:
    return bool(each["star_count"] >= least)


def _result(stated: Mapping[str, Any]) -> dict[str, Any]:
    stars = stated.get("star_count")
    return {
        "star_count": stars if isinstance(stars, int) else 0,
        "is_official": stated.get("is_official") is True,
        "name": str(stated.get("name") or ""),
        "is_automated": stated.get("is_automated") is True,
        "description": str(stated.get("description") or ""),
    }


async def _ask(client: Client, question: Callable[[], T]) -> T:
    try:
        return await apart(question, "registry")
    finally:
        client.close()
