"""What stands in the way of a removal, in dockerd's words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.images.model import Image
from engine.images.reference import Reference
from engine.images.removal import Obstacle, find_obstacle, is_id_prefix, is_single

IMAGE = Image("sha256:" + "ab" * 32, {}, "{}", (), (), 0, "")
STOPPED, RUNNING = ("c0ffee" * 10, False), ("decade" * 10, True)


def obstacle(
    mask: Obstacle,
    *,
    children: Sequence[Image] = (),
    references: Sequence[str] = (),
    users: Sequence[tuple[str, bool]] = (),
) -> str:
    names = [Reference.parse(each) for each in references]
    found = find_obstacle(IMAGE, mask, children, names, lambda: users)
    return found.message if found else ""


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            obstacle(Obstacle.HARD, users=[STOPPED, RUNNING]),
            "conflict: unable to delete abababababab (cannot be forced) - "
            "image is being used by running container decadedecade",
        ),
        (
            obstacle(Obstacle.SOFT, users=[STOPPED]),
            "conflict: unable to delete abababababab (must be forced) - "
            "image is being used by stopped container c0ffeec0ffee",
        ),
        (
            obstacle(Obstacle.SOFT, references=["a", "b"], users=[STOPPED]),
            "conflict: unable to delete abababababab (must be forced) - "
            "image is referenced in multiple repositories",
        ),
        (
            obstacle(Obstacle.HARD, children=[IMAGE]),
            "conflict: unable to delete abababababab (cannot be forced) - "
            "image has dependent child images",
        ),
        (obstacle(Obstacle.HARD, references=["a"], users=[STOPPED]), ""),
    ],
)
def test_obstacles(found: str, message: str) -> None:
    assert found == message


def test_single_references() -> None:
    digest = "@sha256:" + "0" * 64

    def single(*names: str) -> bool:
        return is_single([Reference.parse(name) for name in names])

    assert single() and single("a:1") and single("a:1", f"a{digest}")
    assert not single("a:1", "a:2") and not single("a:1", "b:1") and not single("a:1", f"b{digest}")


def test_id_prefixes() -> None:
    assert is_id_prefix(IMAGE.id, "abab") and is_id_prefix(IMAGE.id, "sha256:abab")
    assert not is_id_prefix(IMAGE.id, "busybox")
