"""Docker's rules for removing images: what is untagged, what is deleted, what stands in the way."""

from collections.abc import Callable, Sequence
from enum import Flag, auto

from engine.errors import Conflict
from engine.images.model import Image
from engine.images.reference import Reference
from engine.values import dataclass, field

_ID_DIGITS = 12


class Obstacle(Flag):
    """What may keep an image from being deleted; the soft ones give way to force."""

    CHILD = auto()
    RUNNING = auto()
    REFERENCE = auto()
    STOPPED = auto()
    HARD = CHILD | RUNNING
    SOFT = REFERENCE | STOPPED


class InUse(Conflict):
    """The image can't be deleted; `used` by a container rather than by names or children."""

    def __init__(self, image_id: str, why: str, *, hard: bool, used: bool = False) -> None:
        force = "cannot be forced" if hard else "must be forced"
        super().__init__(f"conflict: unable to delete {short(image_id)} ({force}) - {why}")
        self.used = used


@dataclass
class Removed:
    """What a removal did, in order: familiar references, image ids, chain ids; bytes given back."""

    untagged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    reclaimed: int = 0

    def untag(self, reference: str) -> None:
        """A reference went."""
        self.untagged.append(reference)
        self.steps.append(("Untagged", reference))

    def delete(self, identity: str) -> None:
        """An image or a layer went."""
        self.deleted.append(identity)
        self.steps.append(("Deleted", identity))


def short(identity: str) -> str:
    """Twelve digits, as people see ids."""
    return identity.removeprefix("sha256:")[:_ID_DIGITS]


def is_id_prefix(image_id: str, text: str) -> bool:
    """Whether the user's text names the image by id rather than by reference."""
    return image_id.startswith(text) or image_id.removeprefix("sha256:").startswith(text)


def is_single(references: Sequence[Reference]) -> bool:
    """At most one tag, and everything within one repository."""
    tags = sum(1 for reference in references if not reference.digest)
    return tags <= 1 and len({reference.name for reference in references}) <= 1


def find_obstacle(
    image: Image,
    mask: Obstacle,
    children: Sequence[Image],
    references: Sequence[Reference],
    users: Callable[[], Sequence[tuple[str, bool]]],
) -> InUse | None:
    """The first reason not to delete, of those that `mask` asks for."""
    if Obstacle.CHILD in mask and children:
        return InUse(image.id, "image has dependent child images", hard=True)
    containers = users()
    for container_id, running in containers:
        if running and Obstacle.RUNNING in mask:
            why = f"image is being used by running container {short(container_id)}"
            return InUse(image.id, why, hard=True, used=True)
    if Obstacle.REFERENCE in mask and references:
        return InUse(image.id, "image is referenced in multiple repositories", hard=False)
    for container_id, running in containers:
        if not running and Obstacle.STOPPED in mask:
            why = f"image is being used by stopped container {short(container_id)}"
            return InUse(image.id, why, hard=False, used=True)
    return None
