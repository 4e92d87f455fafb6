"""How far long work in a thread has come, and whether it's still wanted."""

import threading


class Progress:
    """Counted by the threads that work, read by the loop; `stop` asks them to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.bytes = 0
        self.files = 0
        self.total = 0  # bytes, once they're counted

    def add(self, size: int = 0, files: int = 0) -> None:
        """Bytes and files that are done."""
        with self._lock:
            self.bytes += size
            self.files += files

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stop.set()

    def stopped(self) -> bool:
        """Whether to end."""
        return self._stop.is_set()
