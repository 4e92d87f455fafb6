"""What the engine tells of itself."""

from pathlib import Path

import pytest

from engine import about
from engine.database import Database
from engine.events import Events
from engine.options import Options


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


def of(database, root: Path) -> about.About:
    options = Options(root, root / "s", root / "run", runtime="/opt/bin/runc")
    counts = {"running": 1, "paused": 0, "stopped": 2}
    return about.About(
        options, database, Events(), containers=lambda: counts, images=lambda: 3, init="/x/tini"
    )


async def test_identity_is_made_once(database, tmp_path):
    first, second = of(database, tmp_path), of(database, tmp_path)
    await first.start()
    await second.start()
    identity = (await first.overview()).id
    assert [len(part) for part in identity.split("-")] == [8, 4, 4, 4, 12]
    assert (await second.overview()).id == identity


async def test_overview(database, tmp_path):
    overview = await of(database, tmp_path).overview()
    assert overview.containers == {"running": 1, "paused": 0, "stopped": 2}
    assert (overview.images, overview.init) == (3, "tini")
    assert overview.runtimes == {"runc": "/opt/bin/runc"}
    assert overview.default_runtime == "runc"


def test_user_namespaces_are_told_before_cgroups():
    words = ("name=seccomp,profile=builtin", "name=cgroupns")
    assert about._security(words, isolates=False) == words
    assert about._security(words, isolates=True) == (words[0], "name=userns", words[1])


def test_commit_of_a_checkout(tmp_path):
    assert about._checked_out(tmp_path) == ""
    (tmp_path / "HEAD").write_text("ref: refs/heads/main\n")
    assert about._checked_out(tmp_path) == ""
    (tmp_path / "refs/heads").mkdir(parents=True)
    (tmp_path / "refs/heads/main").write_text("0123456789abcdef\n")
    assert about._checked_out(tmp_path) == "0123456"
    (tmp_path / "HEAD").write_text("fedcba9876543210\n")
    assert about._checked_out(tmp_path) == "fedcba9"
