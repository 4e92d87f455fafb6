"""Files from elsewhere: URLs for ADD and for whole contexts."""

import asyncio
import email.utils
import hashlib
import http.client
import os
import posixpath
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from engine.builder.threads import in_thread
from engine.errors import BadRequest
from engine.linux.threads import apart
from engine.values import dataclass

_SECONDS = 60.0
_PIECE = 1 << 20


@dataclass(frozen=True)
class Download:
    """A downloaded file: sha256 (hex), the media type that the server told, the name in its URL."""

    path: Path
    digest: str
    media_type: str
    name: str


def file_name(url: str) -> str:
    """The last part of a URL's path. Raises BadRequest when it ends with none."""
    try:
        name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    except ValueError as error:
        raise BadRequest(f"invalid url {url}: {error}") from error
    if not name or name in (".", ".."):
        raise BadRequest(f"cannot determine filename from url: {url}")
    return name


async def download(url: str, target: Path, *, checksum: str = "") -> Download:
    """Fetch into the new file `target` (mode 0600, the server's time). Raises BadRequest, OSError.

    checksum: `sha256:HEX` (or sha384, sha512) that the content must have; "" takes any.
    """
    stopped = threading.Event()
    try:
        found = await apart(lambda: _download(url, target, stopped), "build-fetch")
    except asyncio.CancelledError:
        stopped.set()
        raise
    if checksum:
        await in_thread(_check, url, target, checksum)
    return found


def _check(url: str, path: Path, checksum: str) -> None:
    algorithm, _, wanted = checksum.partition(":")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if digest != wanted:
        raise BadRequest(f"digest mismatch {algorithm}:{digest}: {checksum} ({url})")


def _download(url: str, target: Path, stopped: threading.Event) -> Download:
    digest = hashlib.sha256()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cove-builder"})
        with _opener().open(request, timeout=_SECONDS) as answer, target.open("xb") as file:
            while not stopped.is_set() and (piece := answer.read(_PIECE)):
                digest.update(piece)
                file.write(piece)
            if answer.length and not stopped.is_set():
                raise BadRequest(f'Get "{url}": unexpected EOF, {answer.length} bytes are missing')
            os.fchmod(file.fileno(), 0o600)
            media_type = answer.headers.get_content_type()
            changed = _moment(answer.headers.get("Last-Modified"))
    except urllib.error.HTTPError as error:
        error.close()
        raise BadRequest(f"failed to GET {url} with status {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise BadRequest(f'Get "{url}": {_reason(error.reason)}') from error
    except (TimeoutError, ConnectionError, ValueError, http.client.HTTPException) as error:
        raise BadRequest(f'Get "{url}": {_reason(error)}') from error
    os.utime(target, (changed, changed))
    return Download(target, digest.hexdigest(), media_type, _name(url))


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS alone, by the proxies of the environment: a redirect leads nowhere else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _name(url: str) -> str:
    try:
        return file_name(url)
    except BadRequest:
        return ""


def _reason(error: object) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _moment(text: str | None) -> float:
    """Seconds of the Last-Modified header; the epoch where there is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0
