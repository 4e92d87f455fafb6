"""The command line."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main, parse


def test_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = parse(["--root", "r", "--socket", "s"])
    assert options.root == tmp_path / "r"
    assert options.run == tmp_path / "r/run"
    assert options.socket == tmp_path / "s"
    assert options.runtime == "crun"
    assert options.native


def test_in_the_vm():
    options = parse(
        "--root /r --socket /s --run /v --host-link /l --machine /m --hold-fd 7".split()
    )
    assert not options.native
    assert (options.run, options.host_link, options.hold_fd) == (Path("/v"), Path("/l"), 7)


def test_the_isolation_is_one_of_two(capsys):
    paths = ["--root", "/r", "--socket", "/s"]
    assert parse(paths).isolation == ""
    assert parse([*paths, "--isolation", "enhanced"]).isolation == "enhanced"
    with pytest.raises(SystemExit):
        parse([*paths, "--isolation", "much"])
    assert "standard" in capsys.readouterr().err


def test_missing_root_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(["--socket", "s"])
    assert ended.value.code == 2
    assert "--root" in capsys.readouterr().err


def test_without_root_rights(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["--root", str(tmp_path / "r"), "--socket", str(tmp_path / "s")]) == 1
    assert "must run as root" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    assert gc.isenabled()


def test_help_is_quick_and_imports_no_engine():
    program = "import sys, engine.__main__; sys.exit('engine.daemon' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_forms_that_only_people_use(tmp_path, capsys):
    options = parse(["--root=/r", "--socket", "/s", "--log-level", "debug"])
    assert (options.root, options.run, options.log_level) == (Path("/r"), Path("/r/run"), "debug")
    for wrong in (["--log-level", "loud"], ["--hold-fd", "x"], ["--nonsense", "1"], ["--run"]):
        with pytest.raises(SystemExit) as ended:
            parse(["--root", "/r", "--socket", "/s", *wrong])
        assert ended.value.code == 2
        assert wrong[0] in capsys.readouterr().err


def test_asyncio_loads_no_tls_but_others_may():
    program = (
        "import sys; from engine import __main__ as m; m._import_asyncio();"
        "import asyncio; assert 'ssl' not in sys.modules; import http.client;"
        "http.client.HTTPSConnection; import ssl; ssl.create_default_context()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
