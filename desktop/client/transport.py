"""docker-py over a unix socket, with connections that are reused and always closed.

docker-py keeps a pool for each URL and forgets its socket when nobody listens; a window that asks
once a second for each container needs neither.
"""

from __future__ import annotations

import socket
from typing import Any, cast

import docker
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

# Asked with until the engine's own version is known; every engine of the last years answers it.
_FIRST_VERSION = "1.40"


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(self.timeout)
            made.connect(self.unix_socket)
        except OSError:
            made.close()
            raise
        self.sock = made


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, cast(Any, self.timeout))


class _Adapter(UnixHTTPAdapter):
    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        with self.pools.lock:
            found = self.pools.get("")
            if found is None:
                found = _Pool("", self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[""] = found
        return found


def api_client(path: str, version: str, timeout: float | None) -> Any:
    """A docker-py client for the socket at `path`; an empty `version` is asked of the engine.

    Raises what requests and docker-py raise when the engine does not answer.
    """
    made: Any = docker.APIClient(base_url=f"unix://{path}", version=version or _FIRST_VERSION)
    adapter = _Adapter(f"http+unix://{path}", cast(Any, timeout))
    made.mount("http+docker://", adapter)
    made._custom_adapter = adapter
    made.timeout = timeout
    if not version:
        try:
            made._version = made.version(api_version=False)["ApiVersion"]
        except Exception:
            made.close()
            raise
    return made
