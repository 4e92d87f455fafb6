"""Git repositories as contexts and as sources of ADD: fetched with the git program."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from engine.builder.sources import is_git
from engine.errors import BadRequest
from engine.linux import spawn
from engine.linux.libc import open_in_root
from engine.values import dataclass

_SECONDS = 600.0
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
        await asyncio.to_thread(shutil.rmtree, target / ".git", ignore_errors=True)
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
    """The program with settings that let no repository run anything."""

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
        try:
            child = spawn.start(
                [self._program, *options, *words],
                cwd=self._folder,
                env={
                    "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
                    "HOME": str(self._folder),
                    "GIT_TERMINAL_PROMPT": "0",
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
                    **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")},
                },
                stdout=subprocess.DEVNULL,
                stderr=writing,
            )
        finally:
            os.close(writing)
        try:
            said = await _said(reading, child)
            code = await child.wait()
        finally:
            os.close(reading)
        if code != 0:
            text = said.decode(errors="replace").strip()
            raise BadRequest(f"unable to 'git {words[0]}': {text or f'exit status {code}'}")


async def _said(reading: int, child: spawn.Child) -> bytes:
    """What comes out of a pipe to its end; the child is killed when nobody waits any more."""

    def read() -> bytes:
        with open(reading, "rb", closefd=False) as file:
            return file.read(1 << 20)

    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.to_thread(read)
    except BaseException:
        if child.returncode is None:
            os.kill(child.pid, 9)
        raise
