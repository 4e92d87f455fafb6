"""The distribution API of one repository: manifests, blobs, tags, uploads. Blocks: use threads."""

import hashlib
import http.client
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urljoin

from engine.registry import media
from engine.registry.auth import Authenticator, Credentials
from engine.registry.errors import RegistryError, Unreachable, from_response
from engine.registry.transport import Origin, Transport, is_insecure, registry_host
from engine.values import dataclass

_MANIFEST_LIMIT = 8 << 20
_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
USER_AGENT = "cove/1 (linux)"
PUSH = "pull,push"

# which scheme a loopback registry turned out to speak, for the life of the engine
_schemes: dict[str, str] = {}

Body = bytes | Iterable[bytes] | None


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
                "MANIFEST_INVALID", f"the manifest is no JSON: {error}", 500
            ) from error
        if not isinstance(document, dict):
            raise RegistryError("MANIFEST_INVALID", "the manifest is no JSON object", 500)
        return document


class Client:
    """One repository at one registry with one set of credentials."""

    def __init__(self, domain: str, path: str, credentials: Credentials | None = None) -> None:
        self.domain = domain
        self.path = path
        self._transport = Transport(domain)
        self._auth = Authenticator(self._transport, credentials or Credentials())
        self._credentials = credentials or Credentials()
        self._base = ""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def base(self) -> str:
        """`https://host`, or plain http for a loopback registry that speaks only that."""
        with self._lock:
            if not self._base:
                self._base = self._find_base()
        return self._base

    def _find_base(self) -> str:
        host = registry_host(self.domain)
        if not is_insecure(host):
            return f"https://{host}"
        known = _schemes.get(host)
        if known:
            return f"{known}://{host}"
        scheme = "https"
        try:
            self._drop(self._transport.send("GET", f"https://{host}/v2/", {}))
        except Unreachable:
            # raises for both when nobody listens at all
            self._drop(self._transport.send("GET", f"http://{host}/v2/", {}))
            scheme = "http"
        _schemes[host] = scheme
        return f"{scheme}://{host}"

    def _drop(self, response: http.client.HTTPResponse) -> None:
        response.read()
        self._transport.give_back(response)

    # ---- requests -------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        actions: str = "pull",
        scope: str | None = None,
    ) -> http.client.HTTPResponse:
        """An authenticated request with redirects followed; errors by status are raised.

        `url` is absolute or a path below the repository. Raises RegistryError, Unreachable.
        """
        if "://" not in url:
            url = f"{self.base}/v2/{self.path}/{url}" if self.path else f"{self.base}/v2/{url}"
        scope = f"repository:{self.path}:{actions}" if scope is None else scope
        response = self._authorized(method, url, dict(headers or {}), body, scope)
        if response.status >= 400:
            raise self._refused(method, url, response)
        return response

    def _authorized(
        self, method: str, url: str, headers: dict[str, str], body: Body, scope: str
    ) -> http.client.HTTPResponse:
        headers = {"User-Agent": USER_AGENT, **headers}
        response = self._follow(method, url, headers, body, self._auth.header(scope))
        if response.status != 401:
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        if method == "HEAD":
            response.read()
        self._auth.forget(scope)
        answer = self._auth.respond(challenge, scope)
        if not answer:
            if challenge.lower().startswith("basic") and not self._credentials.basic:
                self._drop(response)
                raise RegistryError(
                    "UNAUTHORIZED", f'{method.title()} "{url}": no basic auth credentials', 401
                )
            return response
        self._drop(response)
        return self._follow(method, url, headers, body, answer)

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Body, auth: str
    ) -> http.client.HTTPResponse:
        home = Origin.of(url)
        for _ in range(_REDIRECTS):
            # a store elsewhere must never see the registry's credentials
            sent = (
                {**headers, "Authorization": auth} if auth and Origin.of(url) == home else headers
            )
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
        )

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
            raise RegistryError("MANIFEST_INVALID", "the manifest is larger than 8 MiB", 500)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if reference.startswith("sha256:") and digest != reference:
            raise RegistryError(
                "MANIFEST_INVALID",
                f"manifest verification failed for digest {reference}: got {digest}",
                500,
            )
        media_type = response.headers.get("Content-Type", "").split(";")[0].strip()
        return Manifest(content, digest, media_type)

    def head(self, reference: str) -> tuple[str, str, int]:
        """(digest, media type, size) of a manifest without its content."""
        response = self.request(
            "HEAD", f"manifests/{reference}", {"Accept": ", ".join(media.ACCEPT)}
        )
        self._drop(response)
        digest = response.headers.get("Docker-Content-Digest", "")
        media_type = response.headers.get("Content-Type", "").split(";")[0].strip()
        size = int(response.headers.get("Content-Length") or 0)
        if not digest:
            found = self.manifest(reference)
            return found.digest, found.media_type, len(found.content)
        return digest, media_type, size

    def small_blob(self, digest: str, limit: int = _MANIFEST_LIMIT) -> bytes:
        """A blob that is a document (an image's config), its digest checked."""
        response = self.request("GET", f"blobs/{digest}")
        content = response.read(limit + 1)
        self.release(response)
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise RegistryError("DIGEST_INVALID", f"{digest}: the registry sent other bytes", 500)
        return content

    def blob(self, digest: str, offset: int = 0) -> tuple[http.client.HTTPResponse, int]:
        """Begin to read a blob at `offset`; the answer, and the offset where it really begins."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.request("GET", f"blobs/{digest}", headers)
        return response, offset if response.status == 206 else 0

    def tags(self) -> list[str]:
        """All tags of the repository, however many pages they take."""
        tags: list[str] = []
        url = "tags/list"
        while url:
            response = self.request("GET", url)
            found = json.loads(response.read())
            self.release(response)
            tags += [str(tag) for tag in found.get("tags") or ()]
            link = response.headers.get("Link", "")
            url = ""
            if 'rel="next"' in link and "<" in link:
                url = urljoin(self.base, link[link.index("<") + 1 : link.index(">")])
        return tags

    # ---- writing --------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob already."""
        try:
            self._drop(self.request("HEAD", f"blobs/{digest}", actions=PUSH))
        except RegistryError as error:
            if error.http_status == 404:
                return False
            raise
        return True

    def begin_upload(self, digest: str, mount_from: str = "") -> str:
        """Start an upload: its address, or "" when the blob was mounted from a repository."""
        query = f"?mount={digest}&from={quote(mount_from, safe='')}" if mount_from else ""
        response = self.request(
            "POST", f"blobs/uploads/{query}", {"Content-Length": "0"}, b"", actions=PUSH
        )
        self._drop(response)
        if response.status == 201:
            return ""
        location = response.headers.get("Location", "")
        if not location:
            raise RegistryError("BLOB_UPLOAD_INVALID", "the registry named no upload address", 500)
        return urljoin(f"{self.base}/v2/{self.path}/", location)

    def upload(self, location: str, digest: str, size: int, pieces: Iterable[bytes]) -> None:
        """Send a blob in one piece to an upload's address."""
        glue = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        url = f"{location}{glue}digest={quote(digest)}"
        self._drop(self.request("PUT", url, headers, pieces, actions=PUSH))

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> None:
        """Store a manifest under a tag or digest."""
        headers = {"Content-Type": media_type}
        self._drop(self.request("PUT", f"manifests/{reference}", headers, content, actions=PUSH))

    def login(self) -> None:
        """Try the credentials at the registry. Raises RegistryError, Unreachable."""
        response = self.request("GET", f"{self.base}/v2/", scope="")
        self._drop(response)
