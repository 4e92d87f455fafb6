"""Where COPY, ADD and mounts take files from: stages, images, the context, URLs, heredocs."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.builder import gitsource
from engine.builder.context import Context
from engine.builder.failures import CopyFailed
from engine.builder.folders import Folders
from engine.builder.globs import BadPattern
from engine.builder.ignore import Matcher
from engine.builder.mounting import Files
from engine.builder.operations import CopyOp
from engine.builder.sources import is_url
from engine.builder.stages import ContextRef
from engine.builder.threads import to_end
from engine.builder.tree import Item, NoSource, Tree, clean
from engine.errors import BadRequest
from engine.snapshots.store import Store as Snapshots

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_TOO_MANY = (
    "When using {} with more than one source file, the destination must be a directory and "
    "end with a /"
)


class Gathered:
    """Everything that one COPY or ADD copies: items by source. Close it when all is placed."""

    def __init__(self) -> None:
        self.sources: list[list[Item]] = []
        self.archives: set[int] = set()
        self._stack = contextlib.ExitStack()

    def tree(self, root: int, digests: dict[str, str] | None = None, *, given: bool) -> Tree:
        """A tree that is closed with the rest."""
        tree = Tree(root, digests)
        tree.given = given
        self._stack.callback(tree.close)
        return tree

    def close(self) -> None:
        """Release the trees."""
        self._stack.close()

    @property
    def kind(self) -> str:
        """What the history calls it."""
        if len(self.sources) != 1:
            return "multi"
        return "dir" if self.sources[0][0].is_folder else "file"


class Gathering:
    """Gathers for one step. `scratch` gives a fresh folder that lasts as long as the build."""

    def __init__(
        self,
        folders: Folders,
        snapshots: Snapshots,
        context: Context,
        scratch: Callable[[], Path],
    ) -> None:
        self._folders = folders
        self._snapshots = snapshots
        self._context = context
        self._scratch = scratch

    async def gather(self, op: CopyOp, files: Files, stamp: int) -> Gathered:
        """Choose all that the step copies. Raises CopyFailed, BadRequest, OSError.

        stamp: time (ns) of files that come out of the Dockerfile itself.
        """
        found = Gathered()
        try:
            local = []
            for source in op.sources:
                fetched = await self._fetch(op, source, found)
                if not fetched:
                    local.append(source)
            if local:
                await to_end(self._local, op, local, files, found)
            if op.heredocs:
                await to_end(self._heredocs, op, found, stamp)
            if len(found.sources) > 1 and not op.destination.endswith("/"):
                raise BadRequest(_TOO_MANY.format(word(op)))
            return found
        except BaseException:
            found.close()
            raise

    async def _fetch(self, op: CopyOp, source: str, found: Gathered) -> bool:
        """A source from elsewhere; False when it isn't one."""
        if not op.add:
            return False
        repository = gitsource.parse(source)
        if repository is not None:
            if op.checksum:
                raise CopyFailed(
                    "ADD failed: --checksum is for files of a URL; name a repository's commit "
                    "behind its address: URL#COMMIT"
                )
            target = self._scratch() / "git"
            folder = await gitsource.fetch(repository, target, keep=op.keep_git_dir)
            await to_end(self._whole, folder, op, found)
            return True
        if not is_url(source):
            return False
        await self._download(op, source, found)
        return True

    async def _download(self, op: CopyOp, url: str, found: Gathered) -> None:
        from engine.builder import fetch  # the HTTP client is rarely needed

        if op.destination.endswith("/"):
            name = fetch.file_name(url)
        else:
            name = Path(op.destination).name or fetch.file_name(url)
        folder = self._scratch()
        try:
            got = await fetch.download(url, folder / name, checksum=op.checksum)
        except BadRequest as error:
            raise CopyFailed(f"ADD failed: {error.message}") from error
        tree = found.tree(os.open(folder, _FOLDER), {name: got.digest}, given=True)
        items = list(tree.items(name, None, None))
        if op.unpack:
            found.archives.add(len(found.sources))
        found.sources.append(items)

    def _whole(self, folder: Path, op: CopyOp, found: Gathered) -> None:
        tree = found.tree(os.open(folder, _FOLDER), given=True)
        found.sources.append(list(tree.items("", None, _excludes(op))))

    def _heredocs(self, op: CopyOp, found: Gathered, stamp: int) -> None:
        folder = self._scratch()
        tree = found.tree(os.open(folder, _FOLDER), given=True)
        for heredoc in op.heredocs:
            name = Path(heredoc.name).name
            path = folder / name
            path.write_text(heredoc.content, encoding="utf-8", errors="surrogateescape")
            path.chmod(0o644)
            os.utime(path, ns=(stamp, stamp))
            found.sources.append(list(tree.items(name, None, None)))

    def _local(self, op: CopyOp, sources: list[str], files: Files, found: Gathered) -> None:
        inside = isinstance(op.source, ContextRef)
        if files.folder is not None:
            root = os.open(files.folder, _FOLDER)
            tree = found.tree(root, self._context.digests, given=True)
        else:
            # the point to mount at is the folders' own choice
            view = self._snapshots.view_of(files.chain, self._folders.views)
            tree = found.tree(self._folders.open_view(view), given=False)
        excludes = _excludes(op)
        for source in sources:
            if inside:
                _refuse_outside(op, source)
            for items in _chosen(tree, op, source, excludes):
                if op.add and inside and op.unpack is not False and _is_archive(items):
                    found.archives.add(len(found.sources))
                found.sources.append(items)
        if not found.sources:
            raise CopyFailed(f"{word(op)} failed: no source files were specified")


def word(op: CopyOp) -> str:
    """The instruction's name."""
    return "ADD" if op.add else "COPY"


def _refuse_outside(op: CopyOp, source: str) -> None:
    depth = 0
    for part in source.lstrip("/").split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise CopyFailed(
                f"{word(op)} failed: forbidden path outside the build context: {source} ()"
            )


def _chosen(tree: Tree, op: CopyOp, source: str, excludes: Matcher | None) -> Iterator[list[Item]]:
    try:
        if op.parents:
            paths = tree.find(source.replace("/./", "/"), deep=True)
        else:
            paths = tree.find(source)
    except NoSource as error:
        raise _missing(op, source) from error
    except BadPattern as error:
        raise CopyFailed(f"{word(op)} failed: {source}: {error}") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CopyFailed(f"{word(op)} failed: {source}: {why}") from error
    for path in paths:
        if op.parents:
            kept = clean(source.partition("/./")[2]) if "/./" in source else ""
            yield _with_parents(tree, path, source, kept, excludes)
        else:
            items = list(tree.items(path, None, excludes))
            if items:
                yield items


def _with_parents(
    tree: Tree, path: str, source: str, kept: str, excludes: Matcher | None
) -> list[Item]:
    """A source under its own path; what stands before `/./` is left out of it."""
    cut = len([part for part in source.partition("/./")[0].split("/") if part]) if kept else 0
    parts = path.split("/")
    target = "/".join(parts[cut:])
    items = []
    for depth in range(cut + 1, len(parts)):
        folder = tree.resolve("/".join(parts[:depth]))
        status = tree.status(folder)
        if status is not None:
            items.append(Item(tree, folder, "/".join(parts[cut:depth]), status))
    return [*items, *tree.items(path, target, excludes)]


def _missing(op: CopyOp, source: str) -> CopyFailed:
    stat = f"stat {clean(source)}: file does not exist"
    if isinstance(op.source, ContextRef):
        return CopyFailed(
            f"{word(op)} failed: file not found in build context or excluded by .dockerignore: "
            f"{stat}"
        )
    return CopyFailed(f"{word(op)} failed: {stat}")


def _excludes(op: CopyOp) -> Matcher | None:
    return Matcher(op.exclude) if op.exclude else None


def _is_archive(items: list[Item]) -> bool:
    from engine.builder.archives import is_archive

    first = items[0]
    plain = first.named and stat.S_ISREG(first.status.st_mode)
    return plain and is_archive(first.tree.place(first.path))
