"""Finding the namespace of an earlier engine."""

import os
import subprocess
import time

from engine.linux import private


def test_without_a_marker(tmp_path):
    assert private._find(tmp_path / "none") is None


def test_marker_that_is_damaged_or_of_another_boot(tmp_path):
    marker = tmp_path / "marker"
    inode = os.stat("/proc/self/ns/mnt").st_ino
    for text in ("", "x", f"other-boot {inode}\n"):
        marker.write_text(text)
        assert private._find(marker) is None


def test_only_a_monitor_of_this_run_folder_counts(tmp_path):
    marker = tmp_path / "run" / "marker"
    marker.parent.mkdir()
    marker.write_text(f"{private._boot_id()} {os.stat('/proc/self/ns/mnt').st_ino}\n")
    assert private._find(marker) is None  # we live in it, and are no conmon
    conmon = tmp_path / "conmon"
    conmon.symlink_to("/bin/sleep")
    with subprocess.Popen([conmon, "60"]) as stranger:
        time.sleep(0.05)
        assert private._find(marker) is None
        stranger.kill()
    conmon.unlink()
    conmon.write_text("#!/bin/sh\nread line\n")
    conmon.chmod(0o755)
    with subprocess.Popen([conmon, f"{marker.parent}/bundle"], stdin=subprocess.PIPE) as ours:
        time.sleep(0.05)
        descriptor = private._find(marker)
        ours.kill()
    assert descriptor is not None
    os.close(descriptor)
