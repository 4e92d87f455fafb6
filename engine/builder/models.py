"""`--cache-from`: steps that an image's history shows are taken from it instead of being done."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.builder.records import Entry, Kind
from engine.builder.state import State
from engine.images.model import Image


def step_of(image: Image, state: State, told: str, key: str) -> Entry | None:
    """The step after `state` as `image` has it, if it was built in the same way that far.

    told: the step's line in the history; key: what the entry is to be found by.
    """
    history: Sequence[Mapping[str, Any]] = image.config.get("history") or ()
    done = len(state.history)
    depth = len(state.chain)
    if len(history) <= done or history[done].get("created_by") != told:
        return None
    if image.chain_ids[:depth] != state.chain or not _alike(history, state.history):
        return None
    if sum(1 for line in history[:done] if not line.get("empty_layer")) != depth:
        return None
    created = str(history[done].get("created") or image.created)
    if history[done].get("empty_layer"):
        return Entry(key, Kind.STEP, created, told, parent=state.key)
    if depth >= len(image.layers):
        return None
    layer = image.layers[depth]
    return Entry(
        key,
        Kind.LAYER,
        created,
        told,
        parent=state.key,
        chain_id=image.chain_ids[depth],
        diff_id=layer.diff_id,
        blob=layer.blob,
        media_type=layer.media_type,
        blob_size=layer.blob_size,
        size=layer.size,
    )


def _alike(history: Sequence[Mapping[str, Any]], begun: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        line.get("created_by") == other.get("created_by")
        and bool(line.get("empty_layer")) == bool(other.get("empty_layer"))
        for line, other in zip(history, begun, strict=False)
    )
