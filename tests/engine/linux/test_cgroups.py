"""Control groups as folders: both layouts, built in a temporary place."""

import os

import pytest

from engine.linux import cgroups


@pytest.fixture
def hybrid(tmp_path, monkeypatch):
    """A v1 layout whose "unified" is a bare folder of the same file system."""
    for name in ("memory", "pids", "unified"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "is_v2", lambda: False)
    cgroups.hierarchies.cache_clear()
    yield tmp_path
    cgroups.hierarchies.cache_clear()


def test_a_group_has_a_folder_in_every_hierarchy(hybrid):
    assert cgroups.hierarchies() == tuple(f"{hybrid}/{n}" for n in ("memory", "pids", "unified"))
    assert list(cgroups.folders("/cove/a"))[0] == f"{hybrid}/memory/cove/a"
    assert cgroups.folder("/cove/a", "pids") == hybrid / "pids/cove/a"


def test_remove_takes_all_of_them(hybrid):
    for path in cgroups.folders("/cove/a"):
        os.makedirs(path + "/below")
    (hybrid / "unified/cove/a/cgroup.procs").write_text("1")
    cgroups.remove("/cove/a")
    assert not any(os.path.exists(path) for path in cgroups.folders("/cove/a"))
    cgroups.remove("/cove/a")


def test_processes_of_a_group_and_below(hybrid):
    for name, pids in (("a", "3\n1\n"), ("a/below", "2\n")):
        (hybrid / "pids/cove" / name).mkdir(parents=True)
        (hybrid / "pids/cove" / name / "cgroup.procs").write_text(pids)
    assert cgroups.processes("/cove/a") == [1, 2, 3]
    assert cgroups.processes("/cove/none") == []


def test_own_group():
    assert cgroups.path_of(os.getpid()).startswith("/")
    with pytest.raises(ProcessLookupError):
        cgroups.path_of(2**22 + 1)
