"""`docker images`: filters, order, and the sizes that images share."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from engine import times
from engine.errors import EngineError
from engine.filters import Filters
from engine.images.model import Image
from engine.images.reference import Reference

ALLOWED = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})


def created_ns(image: Image) -> int:
    """When the image was made, in ns since the epoch; 0 when it doesn't say."""
    try:
        return times.parse_time(image.created) if image.created else 0
    except (EngineError, ValueError):
        return 0


def glob(pattern: str) -> re.Pattern[str]:
    """Go's path.Match as a regular expression: `*` and `?` stop at slashes."""
    out, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "[" and (end := pattern.find("]", at + 2)) > 0:
            out += "[" + pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[") + "]"
            at = end
        elif character == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        else:
            out += re.escape(character)
        at += 1
    return re.compile(out)


def matches(pattern: str, familiar: str) -> bool:
    """Whether a reference is meant by a `reference` filter: the whole of it or its name."""
    try:
        compiled = glob(pattern)
    except re.error:
        return False
    name = Reference.parse(familiar).familiar_name
    return bool(compiled.fullmatch(familiar) or compiled.fullmatch(name))


def select(images: Iterable[Image], filters: Filters, find: Callable[[str], Image]) -> list[Image]:
    """The images that the filters let through, newest first. Raises BadRequest, NotFound.

    `find` looks up what `before` and `since` name. With `reference`, an image shows only the
    references that match.
    """
    filters.check(ALLOWED)
    dangling = filters.boolean("dangling") if "dangling" in filters else None
    before = min((created_ns(find(name)) for name in filters.values("before")), default=None)
    since = max((created_ns(find(name)) for name in filters.values("since")), default=None)
    until = min((times.parse_time(text) for text in filters.values("until")), default=None)
    selected = []
    for image in images:
        made = created_ns(image)
        if before is not None and made >= before or since is not None and made <= since:
            continue
        if until is not None and made >= until:
            continue
        if dangling is not None and dangling == bool(image.references or image.digests):
            continue
        if not filters.labels(image.run_config.get("Labels") or {}):
            continue
        shown = _referenced(image, filters.values("reference"))
        if shown is not None:
            selected.append((made, shown))
    selected.sort(key=lambda item: item[0], reverse=True)
    return [image for _, image in selected]


def _referenced(image: Image, patterns: Sequence[str]) -> Image | None:
    if not patterns:
        return image
    references = tuple(r for r in image.references if any(matches(p, r) for p in patterns))
    digests = tuple(r for r in image.digests if any(matches(p, r) for p in patterns))
    if not references and not digests:
        return None
    return replace(image, references=references, digests=digests)


def shared_sizes(images: Iterable[Image]) -> dict[str, int]:
    """Bytes of each image that other images use as well, by image id."""
    images = list(images)
    users = Counter(chain_id for image in images for chain_id in set(image.chain_ids))
    return {
        image.id: sum(
            layer.size
            for layer, chain_id in zip(image.layers, image.chain_ids, strict=True)
            if users[chain_id] > 1
        )
        for image in images
    }
