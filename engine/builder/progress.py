"""What a build tells: the classic builder's text, in the order of the Dockerfile.

Stages run side by side; what a later one says waits until those before it have ended.
"""

import codecs
from collections.abc import Callable, Sequence
from typing import Any

Emit = Callable[[dict[str, Any]], None]
_STDERR = 2


class Narrator:
    """Puts the lines of all stages in order. `emit` hears each line as JSON fields."""

    def __init__(self, emit: Emit, order: Sequence[int], total: int) -> None:
        """`order`: stages by index; `total`: how many steps there are."""
        self._emit = emit
        self._order = list(order)
        self._waiting: dict[int, list[dict[str, Any]]] = {}
        self._ended: set[int] = set()
        self.total = total

    def stage(self, index: int, first: int) -> "StageLog":
        """The log of one stage whose FROM has the number `first`."""
        return StageLog(self, index, first)

    def tell(self, index: int, fields: dict[str, Any]) -> None:
        """A line of a stage."""
        if self._order and self._order[0] == index:
            self._emit(fields)
        else:
            self._waiting.setdefault(index, []).append(fields)

    def end(self, index: int) -> None:
        """A stage says nothing more."""
        self._ended.add(index)
        while self._order and self._order[0] in self._ended:
            self._order.pop(0)
            if self._order:
                self._flush(self._order[0])

    def fail(self) -> None:
        """The build has failed: tell what has waited."""
        for index in self._order:
            self._flush(index)
        self._order.clear()

    def _flush(self, index: int) -> None:
        for fields in self._waiting.pop(index, ()):
            self._emit(fields)


class StageLog:
    """What one stage says."""

    def __init__(self, narrator: Narrator, index: int, number: int) -> None:
        self._narrator = narrator
        self._index = index
        self._number = number
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def fields(self, **fields: Any) -> None:
        """A line of another kind."""
        self._narrator.tell(self._index, fields)

    def text(self, text: str) -> None:
        """Text as it is."""
        self.fields(stream=text)

    def step(self, text: str) -> None:
        """A numbered step begins."""
        self.text(f"Step {self._number}/{self._narrator.total} : {text}")
        self.text("\n")
        self._number += 1

    def wrong(self, steps: Sequence[tuple[int, str]], line: int) -> None:
        """Name the step on a line (of line and text each): those before it weren't begun."""
        for offset, (place, text) in enumerate(steps):
            if place == line:
                self._number += offset
                self.step(text)
                return

    def triggers(self, count: int) -> None:
        """Triggers of the base image follow."""
        if count:
            self.text(f"# Executing {count} build trigger{'s' if count > 1 else ''}\n")

    def cached(self) -> None:
        """The step's result was there."""
        self.text(" ---> Using cache\n")

    def running(self, container: str) -> None:
        """The step runs in a container."""
        self.text(f" ---> Running in {container[:12]}\n")

    def removed(self, container: str) -> None:
        """The step's container is gone."""
        self.text(f" ---> Removed intermediate container {container[:12]}\n")

    def result(self, image_id: str) -> None:
        """The image after the step."""
        self.text(f" ---> {image_id.removeprefix('sha256:')[:12]}\n")

    def output(self, stream: int, content: bytes) -> None:
        """What a command wrote; a character cut in two waits for its other half."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(content)
        if text:
            self.text(f"\x1b[91m{text}\x1b[0m" if stream == _STDERR else text)

    def end(self, image_id: str) -> None:
        """The stage is done."""
        if image_id:
            self.fields(aux={"ID": image_id})
        self._narrator.end(self._index)
