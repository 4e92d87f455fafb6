"""Compose projects through the docker CLI's own plugin: acts, and what has to come of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from results import Results

PROJECT = Path(__file__).with_name("compose")
PORT = 18080


class Project:
    """A copy of the sample project on one engine."""

    def __init__(self, socket: Path, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_BAKE": "false",
            "COMPOSE_ANSI": "never",
        }

    def do(self, *words: str, code: int = 0) -> str:
        """Run `docker compose`; its output. AssertionError for another exit code."""
        done = subprocess.run(
            ["docker", "compose", *words],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, f"{words}: exit {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    def inside(self, service: str, script: str) -> str:
        """Run a shell script in a service's container."""
        return self.do("exec", "-T", service, "sh", "-c", script)


def _build_and_up(project: Project) -> None:
    project.do("build")
    project.do("up", "-d", "--wait", "--wait-timeout", "60")
    states = project.do("ps", "-a", "--format", "{{.Service}} {{.State}} {{.Health}}").split("\n")
    found = sorted(filter(None, states))
    wanted = ["app running", "db running healthy", "init exited", *["worker running"] * 2]
    assert [one.strip() for one in found] == wanted, found


def _ports(project: Project) -> None:
    assert project.do("port", "app", "8000") == f"127.0.0.1:{PORT}\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=10) as answer:
        assert answer.read() == b"hi from app\n"


def _settings_of_a_service(project: Project) -> None:
    told = project.inside("app", "cat /v /etc/app.conf /run/secrets/sec; ulimit -n; ulimit -Hn")
    assert told == "v42\nkey=value\nhush\n1000\n2000\n"
    assert "10.1.2.3\tother" in project.inside("app", "cat /etc/hosts")
    assert project.inside("app", "cat /proc/sys/net/core/somaxconn") == "512\n"
    assert "CapEff:\t0000000000000000" in project.inside("app", "cat /proc/self/status")
    project.do("exec", "-T", "app", "touch", "/x", code=1)


def _networks_and_volumes(project: Project) -> None:
    assert project.inside("app", "wget -qO- http://database:5432/index.html") == "db\n"
    assert "10.231.4.10/24" in project.inside("db", "ip -4 addr show eth0")
    assert project.inside("db", "cat /data/init") == "inited\n"
    assert " tmpfs " in project.inside("db", "grep /scratch /proc/mounts")
    assert project.do("volumes", "--format", "{{.Name}}") == "suite_data\n"


def _acts(project: Project) -> None:
    assert "sleep 600" in project.do("top", "worker")
    project.do("pause", "worker")
    project.do("unpause", "worker")
    project.do("restart", "-t", "1", "worker")
    project.do("kill", "-s", "USR1", "db")
    project.do("stop", "-t", "1", "db")
    project.do("start", "db")
    project.do("up", "-d", "--force-recreate", "--no-deps", "db")
    assert "inited" in project.do("run", "--rm", "-T", "init", "cat", "/data/init")
    assert "debugged" in project.do("--profile", "debug", "up", "--no-deps", "debug")


def _scale(project: Project) -> None:
    project.do("up", "-d", "--no-deps", "--scale", "worker=3", "--no-recreate", "worker")
    assert len(project.do("ps", "-q", "worker").split()) == 3


def _files_and_logs(project: Project) -> None:
    project.do("cp", "app:/v", "taken")
    assert (project._folder / "taken").read_text() == "v42\n"
    assert "said by db" in project.do("logs", "--no-log-prefix", "db")


def _down(project: Project) -> None:
    project.do("--profile", "debug", "down", "-v", "--rmi", "local", "-t", "1")
    assert project.do("--profile", "debug", "ps", "-aq") == ""
    assert project.do("volumes", "-q") == ""


ACTS: tuple[Callable[[Project], None], ...] = (
    _build_and_up,
    _ports,
    _settings_of_a_service,
    _networks_and_volumes,
    _acts,
    _scale,
    _files_and_logs,
    _down,
)


def run(socket: Path) -> Results:
    """Bring the project up, try it, take it down; takes about half a minute."""
    results = Results("compose")
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        copy = Path(shutil.copytree(PROJECT, Path(folder) / "suite"))
        project = Project(socket, copy)
        for act in ACTS:
            name = act.__name__.lstrip("_")
            try:
                act(project)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                print(f"compose {name}: {error}")
                results.failed.append(name)
            else:
                results.passed.append(name)
    return results
