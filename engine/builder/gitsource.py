"""Git repositories as contexts and as sources of ADD: fetched with the git program."""

import asyncio
import contextlib
import io
import os
import shutil
import signal
import subprocess
from pathlib import Path

from engine.builder.sources import is_git
from engine.builder.threads import to_end
from engine.errors import BadRequest
from engine.linux import spawn
from engine.linux.libc import open_in_root
from engine.linux.removal import remove_tree
from engine.linux.threads import apart
from engine.values import dataclass

_SECONDS = 600.0
_MOST_WORDS = 1 << 16
_PROTOCOLS = "git:http:https:ssh"


@dataclass(frozen=True)
class Repository:
    """Where a repository is, which commit is wanted ("" is its default), and which folder of it."""

    remote: str
    ref: str = ""
    folder: str = ""


def parse(text: str) -> Repository | None:
    """Read `URL#ref:folder`; None for what names no repository."""
    if not is_git(text):
        return None
    remote, _, rest = text.partition("#")
    ref, _, folder = rest.partition(":")
    if remote.startswith("github.com/"):
        remote = f"https://{remote}"
    return Repository(remote.removeprefix("git+"), ref, folder)


async def fetch(repository: Repository, target: Path, *, keep: bool = False) -> Path:
    """Check a commit out into the new folder `target`; the folder that was asked for.

    keep: `.git` stays. Raises BadRequest with what git said, and where there is no git.
    """
    program = shutil.which("git")
    if program is None:
        raise BadRequest(
            f"unable to fetch {repository.remote}: the program git is not installed where the "
            "engine runs; clone it and build from the folder"
        )
    if repository.ref.startswith("-") or repository.remote.startswith("-"):
        raise BadRequest(f"invalid git reference {repository.ref!r}")
    await asyncio.to_thread(target.mkdir)
    git = _Git(program, target)
    await git.run("init", "--quiet")
    await git.run("remote", "add", "origin", repository.remote)
    ref = repository.ref or "HEAD"
    try:
        await git.run("fetch", "--quiet", "--depth", "1", "--no-tags", "origin", ref)
        await git.run("checkout", "--quiet", "--force", "FETCH_HEAD")
    except BadRequest:
        # a server without shallow clones, or one that names no commit by its hash
        await git.run("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        if not repository.ref:
            await git.run("remote", "set-head", "origin", "--auto")
            ref = "origin/HEAD"
        await git.checkout(ref)
    await git.run("submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1")
    if not keep:
        await to_end(remove_tree, target / ".git")
    return _inside(target, repository.folder)


def _inside(target: Path, folder: str) -> Path:
    """A folder of the checkout, wherever its links point."""
    if not folder:
        return target
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(root, folder, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise BadRequest(f"{folder} is no folder of the repository: {error.strerror}") from error
    finally:
        os.close(root)
    try:
        return Path(os.readlink(f"/proc/self/fd/{found}"))
    finally:
        os.close(found)


class _Git:
    """The program with settings that let no repository run anything.

    No file of the repository may be taken for the user's own settings: those name programs.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder

    async def checkout(self, ref: str) -> None:
        """Check `ref` out: a commit, a tag, or a branch of the remote."""
        try:
            await self.run("checkout", "--quiet", "--force", "--detach", ref)
        except BadRequest:
            await self.run("checkout", "--quiet", "--force", "--detach", f"origin/{ref}")

    async def run(self, *words: str) -> None:
        """Run one git command. Raises BadRequest with what it said."""
        settings = ("core.hooksPath=/dev/null", "protocol.file.allow=never", "core.fsmonitor=false")
        options = [part for setting in settings for part in ("-c", setting)]
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pipe = io.FileIO(reading)
        try:
            child = spawn.start(
                [self._program, *options, *words],
                cwd=self._folder,
                env={
                    "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
                    "HOME": "/nonexistent",
                    "GIT_TERMINAL_PROMPT": "0",
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": os.devnull,
                    "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
                    **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")},
                },
                stdout=subprocess.DEVNULL,
                stderr=writing,
                group=True,
            )
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(writing)
        said, code = await _ended(pipe, child)
        if code != 0:
            text = said.decode(errors="replace").strip()
            raise BadRequest(f"unable to 'git {words[0]}': {text or f'exit status {code}'}")


async def _ended(pipe: io.FileIO, child: spawn.Child) -> tuple[bytes, int]:
    """What comes out of a pipe, and the exit code; nobody waiting any more, all is killed.

    Raises BadRequest when it takes too long.
    """
    ended = False
    try:
        async with asyncio.timeout(_SECONDS):
            # a server's pace: it must hold up nobody else
            said = await apart(lambda: _drained(pipe), "build-git")
            code = await child.wait()
        ended = True
    except TimeoutError as error:
        raise BadRequest(f"git took longer than {_SECONDS:.0f} seconds") from error
    finally:
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await asyncio.shield(child.wait())
    return said, code


def _drained(pipe: io.FileIO) -> bytes:
    """The first words of a pipe that is read to its end, and closed."""
    said = b""
    with pipe:
        while piece := pipe.read(1 << 16):
            said += piece[: _MOST_WORDS - len(said)]
    return said
