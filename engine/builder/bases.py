"""Images that a Dockerfile names: found here, or pulled once for all builds that want them."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.builder.request import Request
from engine.builder.workshop import Leases, Workshop
from engine.errors import EngineError, NotFound
from engine.images.model import Image
from engine.images.reference import Reference, is_identifier
from engine.images.streams import Progress
from engine.registry.platforms import Platform

Say = Callable[[dict[str, Any]], None]


class _Told(Progress):
    """Progress of a pull as lines of the build."""

    def __init__(self, say: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, **fields: Any) -> None:
        """One line."""
        self._say("line", fields)


class Bases:
    """Finds the images of one build and holds them."""

    def __init__(self, workshop: Workshop, request: Request, leases: Leases) -> None:
        self._workshop = workshop
        self._request = request
        self._leases = leases
        # a name means one image throughout a build, whoever tags another one meanwhile
        self._found: dict[tuple[str, str], Image] = {}

    async def find(self, name: str, platform: Platform | None, say: Say) -> Image:
        """The image, held for the build. Raises EngineError when it can't be had.

        platform: what was asked for; None takes the image whatever it is for.
        """
        wanted = (name, str(platform or ""))
        if wanted in self._found:
            return self._found[wanted]
        image = None if self._request.pull else self._workshop.images.find(name)
        if image is None:
            image = await self._pull(name, platform, say)
        elif platform is not None and not platform.matches(Platform.of(image.config)):
            found = Platform.of(image.config)
            raise NotFound(
                f"image with reference {name} was found but its platform ({found}) "
                f"does not match the specified platform ({platform})"
            )
        self._leases.hold_image(image)
        return self._found.setdefault(wanted, image)

    async def _pull(self, name: str, platform: Platform | None, say: Say) -> Image:
        if is_identifier(name):
            raise NotFound(f"No such image: {name}")
        reference = Reference.parse(name).with_default_tag()
        auth = _credentials(self._request.auth, reference.domain)

        async def work(tell: Callable[[str, Any], None]) -> Image:
            from engine.images.pull import pull

            images = self._workshop.images
            await pull(images, str(reference), "", _Told(tell), platform=platform, auth=auth)
            return images.resolve(str(reference))

        try:
            return await self._workshop.pulls.run(
                f"{reference} {platform or ''}", work, lambda _, fields: say(fields)
            )
        except EngineError:
            raise
        except OSError as error:
            raise EngineError(f"pulling {reference.familiar}: {error}") from error


def _credentials(auth: Mapping[str, Mapping[str, Any]], domain: str) -> Mapping[str, str]:
    """What X-Registry-Config says of a registry; the hub goes by an address of its own."""
    keys = [domain, f"https://{domain}", f"http://{domain}"]
    if domain == "docker.io":
        keys += ["https://index.docker.io/v1/", "index.docker.io"]
    for key in keys:
        if key in auth:
            return {name: str(value) for name, value in auth[key].items() if value}
    return {}
