"""Settings: what the file may say, what it may not, and that nothing else in it is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop import settings
from desktop.failure import ExitCode
from desktop.settings import Limits, Settings, SettingsError

LIMITS = Limits(cpus=4, memory_mib=16384)
DEFAULTS = Settings.defaults(LIMITS)


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "none.json", LIMITS) == DEFAULTS
    assert DEFAULTS.cpus == 4
    assert DEFAULTS.memory_mib == 2048
    assert DEFAULTS.shares == (str(Path.home()),)


def test_a_small_host_keeps_memory_for_itself() -> None:
    small = Settings.defaults(Limits(cpus=1, memory_mib=1400))
    assert small.memory_mib == 888


@pytest.mark.parametrize(
    "key, value, field, expected",
    [
        ("cpus", 2, "cpus", 2),
        ("cpus", "3", "cpus", 3),
        ("memory", "4G", "memory_mib", 4096),
        ("memory", "1.5 GiB", "memory_mib", 1536),
        ("memory", "768m", "memory_mib", 768),
        ("memory", "1073741824", "memory_mib", 1024),
        ("disk", "100G", "disk_gib", 100),
        ("disk", "1T", "disk_gib", 1024),
        ("shares", "/a,/b/,/a", "shares", ("/a", "/b")),
        ("shares", ["/srv"], "shares", ("/srv",)),
        ("shares", "", "shares", ()),
        ("isolation", "enhanced", "isolation", "enhanced"),
    ],
)
def test_values_that_are_understood(key: str, value: object, field: str, expected: object) -> None:
    assert getattr(settings.changed(DEFAULTS, key, value, LIMITS), field) == expected


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("cpus", "many", "whole number"),
        ("cpus", True, "whole number"),
        ("cpus", 1.5, "whole number"),
        ("cpus", 0, "1 to 4"),
        ("cpus", 5, "4 CPUs"),
        ("memory", [], "size"),
        ("memory", 4096, "size"),
        ("memory", "4096", "unit"),
        ("memory", "100M", "512M"),
        ("memory", "64G", "16G"),
        ("disk", "1500M", "whole number of gigabytes"),
        ("disk", "1G", "4G"),
        ("shares", "relative/path", "isn't absolute"),
        ("shares", [1], "list of folders"),
        ("isolation", "much", "Choose standard or enhanced"),
        ("colour", "red", "cpus, memory, disk, shares"),
    ],
)
def test_values_that_are_refused(key: str, value: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        settings.changed(DEFAULTS, key, value, LIMITS)
    assert caught.value.exit_code == ExitCode.SETTING
    assert caught.value.hint


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"cpus": "two"}', '{"memory": {}}', "\x00"])
def test_a_file_that_cant_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="settings.json") as caught:
        settings.load(path, LIMITS)
    assert "move it away" in caught.value.hint
    assert path.read_text() == text


def test_save_keeps_what_it_doesnt_know_and_leaves_out_defaults(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"cpus": 4, "future": [1]}')
    now = settings.changed(settings.load(path, LIMITS), "memory", "4G", LIMITS)
    settings.save(path, now, LIMITS)
    assert json.loads(path.read_text()) == {"future": [1], "memory": "4G"}
    assert settings.load(path, LIMITS) == now
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]


def test_save_tells_where_it_cant_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="can't be written"):
        settings.save(tmp_path / "file" / "settings.json", DEFAULTS, LIMITS)


@given(st.integers(min_value=1, max_value=1 << 20))
def test_sizes_survive_being_written_and_read(mib: int) -> None:
    assert settings.parse_size_mib(settings.format_size(mib), "memory") == mib
