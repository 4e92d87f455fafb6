"""A build from request to image: context, Dockerfile, plan, solution, names."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from engine.builder import context as contexts
from engine.builder import gitsource
from engine.builder.bases import Bases
from engine.builder.context import DOCKERFILE, Context
from engine.builder.gathering import Gathering
from engine.builder.ignore import Matcher, read
from engine.builder.parser import parse
from engine.builder.progress import Emit, Narrator
from engine.builder.request import Request
from engine.builder.solver import Solver
from engine.builder.sources import is_url
from engine.builder.stages import Plan, plan
from engine.builder.state import State
from engine.builder.steps import Steps
from engine.builder.threads import checkpoint, in_thread, to_end
from engine.builder.workshop import Leases, Workshop
from engine.errors import BadRequest
from engine.images.model import Image
from engine.images.reference import Reference
from engine.linux.removal import remove_tree
from engine.registry.platforms import Platform

_EPOCH = "SOURCE_DATE_EPOCH"


class Build:
    """One build. `emit` hears each line of the answer as JSON fields."""

    def __init__(self, workshop: Workshop, request: Request, emit: Emit) -> None:
        self._workshop = workshop
        self._request = request
        self._emit = emit
        self._scratch: list[Path] = []
        self._leases = Leases(workshop.images)

    async def run(self, body: AsyncIterator[bytes]) -> Image:
        """Build from the request's body. Raises EngineError, OSError; cancelled, it cleans up."""
        names = _references(self._request.tags)
        platform = Platform.parse(self._request.platform) if self._request.platform else None
        try:
            context = await self._context(body)
            text = await in_thread(self._dockerfile, context)
            wanted = await in_thread(
                plan,
                await in_thread(parse, text),
                args=self._request.args,
                target=self._request.target,
                platform=platform,
                labels=self._request.labels,
            )
            await to_end(_leave_out, context, self._request.dockerfile or DOCKERFILE)
            state = await self._solve(wanted, context)
            return await self._finish(state, names, wanted.unconsumed)
        finally:
            self._leases.close()
            self._workshop.behind(in_thread(_remove_all, self._scratch))

    # ---- context and Dockerfile -----------------------------------------------------------------

    def _folder(self) -> Path:
        """A fresh folder that goes with the build."""
        folder = self._workshop.folders.new_context()
        self._scratch.append(folder)
        return folder

    async def _context(self, body: AsyncIterator[bytes]) -> Context:
        remote = self._request.remote
        folder = self._folder()
        if not remote:
            return await contexts.receive(body, folder)
        repository = gitsource.parse(remote)
        if repository is not None:
            root = await gitsource.fetch(repository, folder / "git")
            return Context(root)
        if is_url(remote):
            return await self._remote(remote, folder)
        raise BadRequest(
            f"remote context {remote!r} is neither a URL nor a git repository: "
            "clients that hand files over during the build need BuildKit"
        )

    async def _remote(self, url: str, folder: Path) -> Context:
        """A tar by URL; anything else there is the Dockerfile itself."""
        from engine.builder import fetch
        from engine.builder.archives import is_archive

        got = await fetch.download(url, folder / "download")
        root = self._folder()
        if not await in_thread(is_archive, got.path):
            await in_thread(shutil.copy, got.path, root / DOCKERFILE)
            return Context(root)

        def unpack() -> Context:
            with open(got.path, "rb", buffering=0) as file:
                return contexts.unpack(lambda size: file.read(size) or b"", root)

        return await to_end(unpack)

    def _dockerfile(self, context: Context) -> str:
        name = self._request.dockerfile or DOCKERFILE
        content = context.read(name)
        if content is None and name == DOCKERFILE:
            content = context.read(DOCKERFILE.lower())
        if content is None:
            raise BadRequest(f"Cannot locate specified Dockerfile: {name}")
        if not content.strip():
            raise BadRequest(f"the Dockerfile ({name}) cannot be empty")
        return content.decode("utf-8", "replace")

    # ---- solving --------------------------------------------------------------------------------

    async def _solve(self, wanted: Plan, context: Context) -> State:
        workshop, request = self._workshop, self._request
        total = len(wanted.declared) + sum(
            1 + len(wanted.stages[index].steps) for index in wanted.needed
        )
        narrator = Narrator(self._emit, wanted.needed, total)
        for number, declared in enumerate(wanted.declared, 1):
            self._emit({"stream": f"Step {number}/{total} : {declared.text}"})
            self._emit({"stream": "\n"})
        bases = Bases(workshop, request, self._leases)
        solver = Solver(wanted, context, bases, narrator, cold=request.no_cache)
        gathering = Gathering(workshop.folders, workshop.snapshots, context, self._folder)
        solver.steps = Steps(
            workshop, request, self._leases, gathering, solver.files_of, _epoch(wanted)
        )
        solver.steps.models = self._models()
        try:
            return await solver.solve()
        except BaseException:
            narrator.fail()
            raise
        finally:
            workshop.behind(workshop.records.flush(solver.steps.used))

    def _models(self) -> list[Image]:
        """The images of `--cache-from` that are here."""
        found = [self._workshop.images.find(name) for name in self._request.cache_from]
        models = [image for image in found if image is not None]
        for image in models:
            self._leases.hold_image(image)
        return models

    async def _finish(
        self, state: State, names: list[Reference], unconsumed: tuple[str, ...]
    ) -> Image:
        """Write the image down and name it."""
        if not state.history and not state.layers:
            raise BadRequest("No image was generated. Is your Dockerfile empty?")
        image = await self._stored(state, names)
        if unconsumed:
            left = " ".join(unconsumed)
            self._emit({"stream": f"[Warning] One or more build-args [{left}] were not consumed\n"})
        short = image.id.removeprefix("sha256:")[:12]
        self._emit({"stream": f"Successfully built {short}\n"})
        for name in names:
            self._workshop.images.log(image, "tag", name.familiar)
            self._emit({"stream": f"Successfully tagged {name.familiar}\n"})
        return image

    async def _stored(self, state: State, names: list[Reference]) -> Image:
        """The image's record with these names; nothing is written when it's all there."""
        images = self._workshop.images
        image_id = state.image_id
        known = images.catalogue.get(image_id)
        if known is not None and all(images.catalogue.lookup(each) is known for each in names):
            return known
        document = known.config_text.encode() if known else state.document()
        with images.leases.hold([image_id]):
            await self._workshop.synced(layer.blob for layer in state.layers)
            if known is None:
                await in_thread(images.content.put, document)
            # an image may have the same layer with a blob of its own
            others = images.catalogue.layers()
            layers = [
                others.get(chain_id) or layer
                for chain_id, layer in zip(state.chain, state.layers, strict=True)
            ]
            return await images.add(
                document.decode(), layers, names, image_id=image_id, parent=state.parent
            )


def _references(tags: tuple[str, ...]) -> list[Reference]:
    found: dict[str, Reference] = {}
    for tag in tags:
        reference = Reference.parse(tag)
        if reference.digest:
            raise BadRequest("build tag cannot contain a digest")
        reference = reference.with_default_tag()
        found[str(reference)] = reference
    return list(found.values())


def _leave_out(context: Context, dockerfile: str) -> None:
    """Remove what the ignore file names, as a client would have done. Blocks."""
    content = context.read(f"{dockerfile}.dockerignore")
    if content is None:
        content = context.read(".dockerignore")
    if content is None:
        return
    matcher = Matcher(read(content.decode("utf-8", "surrogateescape")))
    if not matcher:
        return
    for path in list(_ignored(context.root, "", matcher)):
        place = context.root / path
        if place.is_dir() and not place.is_symlink():
            remove_tree(place)
        else:
            with contextlib.suppress(OSError):
                place.unlink()


def _ignored(root: Path, folder: str, matcher: Matcher) -> Iterator[str]:
    for name in sorted(os.listdir(root / folder)):
        checkpoint()
        path = f"{folder}/{name}" if folder else name
        place = root / path
        is_folder = place.is_dir() and not place.is_symlink()
        if matcher.ignored(path):
            if is_folder and matcher.could_hold(path):
                yield from _ignored(root, path, matcher)
            else:
                yield path
        elif is_folder:
            yield from _ignored(root, path, matcher)


def _epoch(wanted: Plan) -> int | None:
    """SOURCE_DATE_EPOCH of the build's arguments. Raises BadRequest."""
    text = wanted.args.get(_EPOCH) or wanted.meta.get(_EPOCH) or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadRequest(f"invalid {_EPOCH}: {text}: wanted seconds since 1970")
    return int(text)


def _remove_all(folders: list[Path]) -> None:
    for folder in folders:
        remove_tree(folder)
