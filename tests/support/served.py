"""A small server in a thread, for the length of a `with` block."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self


class Served:
    """What tests set up beside an engine; `serve` is called once, before the block."""

    def serve(self, server: socketserver.TCPServer) -> None:
        """Answer by `server`, which listens already."""
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`"""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
