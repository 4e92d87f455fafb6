"""The distribution API of one repository: manifests, blobs, tags, uploads. Blocks: use threads."""

import hashlib
import http.client
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urljoin

from engine.registry import media
from engine.registry.auth import USER_AGENT, Authenticator, Credentials
from engine.registry.endpoints import Endpoint, find_base
from engine.registry.errors import RegistryError, Unreachable, from_response
from engine.registry.settings import Settings
from engine.registry.transport import Body, Origin, Transport, shown
from engine.registry.trust import is_insecure
from engine.values import dataclass

_MANIFEST_LIMIT = 8 << 20
_TAGS_LIMIT = 64 << 20
_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_PAGES = 10_000
PUSH = "pull,push"


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as it came: its bytes, their digest and type."""

    content: bytes
    digest: str
    media_type: str

    @property
    def document(self) -> dict[str, Any]:
        """The parsed JSON object. Raises RegistryError when it's none."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise RegistryError(
                "MANIFEST_INVALID", f"the manifest is no JSON: {error}", 502
            ) from error
        if not isinstance(document, dict):
            raise RegistryError("MANIFEST_INVALID", "the manifest is no JSON object", 502)
        return document


class Client:
    """One repository at one registry with one set of credentials."""

    def __init__(
        self,
        endpoint: Endpoint,
        path: str,
        settings: Settings,
        credentials: Credentials | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.path = path
        self._credentials = credentials or Credentials()
        self._transport = Transport(endpoint.host, settings)
        secure = not is_insecure(settings, endpoint.host) and not endpoint.base.startswith("http:")
        self._auth = Authenticator(self._transport, self._credentials, secure=secure)
        self._base = endpoint.base
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def base(self) -> str:
        """`https://host`, or plain http for an insecure registry that speaks only that."""
        with self._lock:
            if not self._base:
                self._base = find_base(self.endpoint, self._transport)
        return self._base

    def scope(self, actions: str = "pull") -> str:
        """What a token must allow for this repository."""
        return f"repository:{self.path}:{actions}"

    # ---- requests -------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        scope: str | None = None,
    ) -> http.client.HTTPResponse:
        """An authenticated request with redirects followed; errors by status are raised.

        `url` is absolute or a path below the repository; the scope is to pull unless given.
        Raises RegistryError, Unreachable.
        """
        if "://" not in url:
            url = f"{self.base}/v2/{self.path}/{url}"
        scope = self.scope() if scope is None else scope
        response = self._authorized(method, url, dict(headers or {}), body, scope)
        if response.status >= 400:
            raise self._refused(method, url, response)
        return response

    def _authorized(
        self, method: str, url: str, headers: dict[str, str], body: Body, scope: str
    ) -> http.client.HTTPResponse:
        headers = {"User-Agent": USER_AGENT, **headers}
        response = self._follow(method, url, headers, body, self._auth.header(scope))
        if response.status != 401 or response.origin != Origin.of(self.base):  # type: ignore[attr-defined]
            return response  # what another host asks for isn't the registry's to answer
        challenges = response.headers.get_all("WWW-Authenticate") or []
        self._auth.forget(scope)
        answer = self._auth.respond(challenges, scope)
        if not answer:
            if any(each.lower().startswith("basic") for each in challenges):
                self._drop(response)
                raise RegistryError("", f'{method.title()} "{shown(url)}": {_NO_BASIC}', 401)
            return response
        self._drop(response)
        return self._follow(method, url, headers, body, answer)

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Body, auth: str
    ) -> http.client.HTTPResponse:
        home, registry = Origin.of(url), Origin.of(self.base)
        for _ in range(_REDIRECTS):
            # a store elsewhere must never see the registry's credentials
            known = auth and Origin.of(url) == registry
            sent = {**headers, "Authorization": auth} if known else headers
            response = self._transport.send(method, url, sent, body)
            location = response.headers.get("Location")
            if response.status not in _REDIRECT_STATUSES or not location:
                return response
            self._drop(response)
            url = urljoin(url, location)
            if home.scheme == "https" and not url.startswith("https:"):
                raise Unreachable(f"{home} redirects to an insecure address")
        raise Unreachable(f"{home} redirects more than {_REDIRECTS} times")

    def _refused(self, method: str, url: str, response: http.client.HTTPResponse) -> RegistryError:
        body = response.read(1 << 16)
        self.release(response)
        return from_response(
            response.status,
            body,
            response.headers.get("WWW-Authenticate", ""),
            response.headers.get("Retry-After", ""),
            f'{method.title()} "{shown(url)}"',
        )

    def _drop(self, response: http.client.HTTPResponse) -> None:
        response.read(1 << 20)
        self._transport.give_back(response)

    def release(self, response: http.client.HTTPResponse) -> None:
        """Done with an answer, whether it was read to its end or not."""
        self._transport.give_back(response)

    # ---- reading --------------------------------------------------------------------------------

    def manifest(self, reference: str) -> Manifest:
        """A manifest by tag or digest, its digest checked. Raises RegistryError."""
        response = self.request(
            "GET", f"manifests/{reference}", {"Accept": ", ".join(media.ACCEPT)}
        )
        content = response.read(_MANIFEST_LIMIT + 1)
        self.release(response)
        if len(content) > _MANIFEST_LIMIT:
            raise RegistryError("MANIFEST_INVALID", "the manifest is larger than 8 MiB", 502)
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        if ":" in reference and digest != reference:
            raise RegistryError(
                "MANIFEST_INVALID",
                f"manifest verification failed for digest {reference}: got {digest}",
                502,
            )
        return Manifest(content, digest, _media_type(response))

    def head(self, reference: str) -> tuple[str, str]:
        """(digest, media type) of a manifest without its content; "" where nothing is said."""
        response = self.request(
            "HEAD", f"manifests/{reference}", {"Accept": ", ".join(media.ACCEPT)}
        )
        self._drop(response)
        return response.headers.get("Docker-Content-Digest", ""), _media_type(response)

    def small_blob(self, digest: str, limit: int = _MANIFEST_LIMIT) -> bytes:
        """A blob that is a document (an image's config), its digest checked."""
        response = self.request("GET", f"blobs/{digest}")
        content = response.read(limit + 1)
        self.release(response)
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise RegistryError("DIGEST_INVALID", f"{digest}: the registry sent other bytes", 502)
        return content

    def blob(
        self, digest: str, offset: int = 0, urls: Iterable[str] = ()
    ) -> tuple[http.client.HTTPResponse, int]:
        """Begin to read a blob at `offset`; the answer, and the offset where it really begins.

        A foreign layer that the registry doesn't have is read from its first working address.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            response = self.request("GET", f"blobs/{digest}", headers)
        except RegistryError as error:
            elsewhere = [url for url in urls if url.startswith(("https://", "http://"))]
            if error.http_status != 404 or not elsewhere:
                raise
            response = self._foreign(elsewhere, headers)
        return response, offset if response.status == 206 else 0

    def _foreign(self, urls: list[str], headers: dict[str, str]) -> http.client.HTTPResponse:
        failure: RegistryError | Unreachable | None = None
        for url in urls:
            try:
                response = self._follow("GET", url, {"User-Agent": USER_AGENT, **headers}, None, "")
            except Unreachable as error:
                failure = error
                continue
            if response.status < 400:
                return response
            failure = self._refused("GET", url, response)
        assert failure is not None
        raise failure

    def tags(self) -> list[str]:
        """All tags of the repository, however many pages they take."""
        tags: list[str] = []
        url, left = "tags/list", _TAGS_LIMIT
        for _ in range(_PAGES):
            response = self.request("GET", url)
            content = response.read(_MANIFEST_LIMIT)
            self.release(response)
            left -= len(content)
            if left < 0:
                raise RegistryError("", "the list of tags is larger than 64 MiB", 502)
            try:
                tags += [str(tag) for tag in json.loads(content).get("tags") or ()]
            except (ValueError, AttributeError, TypeError) as error:
                raise RegistryError("", f"the list of tags is damaged: {error}", 502) from error
            link = response.headers.get("Link", "")
            if 'rel="next"' not in link or "<" not in link:
                break
            target = link[link.index("<") + 1 : link.index(">")]
            url = urljoin(f"{self.base}/v2/{self.path}/tags/list", target)
        return tags

    # ---- writing --------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob already."""
        try:
            self._drop(self.request("HEAD", f"blobs/{digest}", scope=self.scope(PUSH)))
        except RegistryError as error:
            if error.http_status == 404:
                return False
            raise
        return True

    def mount(self, digest: str, source: str) -> str:
        """Take a blob over from another repository of the registry.

        "" when that was done; else the address of an upload that was begun instead.
        """
        query = f"?mount={digest}&from={quote(source, safe='')}"
        scope = f"{self.scope(PUSH)} repository:{source}:pull"
        return self._begin(query, scope)

    def begin_upload(self) -> str:
        """Start an upload: its address."""
        return self._begin("", self.scope(PUSH))

    def _begin(self, query: str, scope: str) -> str:
        response = self.request(
            "POST", f"blobs/uploads/{query}", {"Content-Length": "0"}, b"", scope=scope
        )
        self._drop(response)
        return "" if query and response.status == 201 else self._location(response)

    def _location(self, response: http.client.HTTPResponse) -> str:
        location = response.headers.get("Location", "")
        if not location:
            raise RegistryError("BLOB_UPLOAD_INVALID", "the registry named no upload address", 502)
        return urljoin(f"{self.base}/v2/{self.path}/", location)

    def upload(self, location: str, digest: str, size: int, pieces: Iterable[bytes]) -> None:
        """Send a blob in one piece to an upload's address."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._put(location, digest, headers, pieces)

    def append(self, location: str, pieces: Iterable[bytes]) -> str:
        """Send a blob whose size and digest aren't known yet; the address for `finish`."""
        headers = {"Content-Type": "application/octet-stream"}
        response = self.request("PATCH", location, headers, pieces, scope=self.scope(PUSH))
        self._drop(response)
        return self._location(response)

    def finish(self, location: str, digest: str) -> None:
        """End an upload that was appended to."""
        self._put(location, digest, {"Content-Length": "0"}, b"")

    def _put(self, location: str, digest: str, headers: Mapping[str, str], body: Body) -> None:
        glue = "&" if "?" in location else "?"
        url = f"{location}{glue}digest={quote(digest)}"
        self._drop(self.request("PUT", url, headers, body, scope=self.scope(PUSH)))

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> None:
        """Store a manifest under a tag or digest."""
        headers = {"Content-Type": media_type}
        url = f"manifests/{reference}"
        self._drop(self.request("PUT", url, headers, content, scope=self.scope(PUSH)))

    # ---- logins and searches -------------------------------------------------------------------

    def login(self) -> str:
        """Try the credentials; an identity token for later, "" where the registry has none.

        Raises RegistryError, Unreachable.
        """
        self._auth.offline = True
        self._drop(self.request("GET", f"{self.base}/v2/", scope=""))
        return self._auth.identity_token

    def search(self, term: str, limit: int) -> list[dict[str, Any]]:
        """What the registry finds, if it has the search of the old index. Raises RegistryError."""
        query = f"q={quote(term)}&n={limit}"
        response = self.request("GET", f"{self.base}/v1/search?{query}", scope="")
        content = response.read(_MANIFEST_LIMIT)
        self.release(response)
        try:
            found = json.loads(content)["results"]
            return [dict(each) for each in found]
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError("", f"the answer to the search is damaged: {error}", 502) from error


_NO_BASIC = "no basic auth credentials"


def _media_type(response: http.client.HTTPResponse) -> str:
    return response.headers.get("Content-Type", "").split(";")[0].strip()
