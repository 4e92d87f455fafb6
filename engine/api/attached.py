"""A taken-over connection as containers see it: input read, output framed or raw."""

from engine.api.frames import header
from engine.api.http import Hijacked


class AttachedClient:
    """The client of an attach or exec; `framed` puts Docker's 8-byte header before each piece."""

    def __init__(self, connection: Hijacked, *, framed: bool) -> None:
        self._connection = connection
        self._framed = framed
        self.closed = connection.closed
        self._greeted = False

    async def read(self) -> bytes:
        """Input; b"" at its end."""
        return await self._connection.read()

    async def send(self, stream: int, data: bytes) -> None:
        """Output; waits while the client is slow. Raises ConnectionResetError when it's gone."""
        connection = self._connection
        if not self._greeted:
            # docker-py reads the answer's head with a buffer that it then forgets: what arrives
            # together with the head would be lost
            self._greeted = True
            await connection.delivered()
        if self._framed:
            connection.write(header(stream, len(data)), data)
        else:
            connection.write(data)
        await connection.drain()

    def close(self) -> None:
        """Send what is written and close."""
        self._connection.close()
