"""Logins, tokens and refusals at Debian's registry with a token server beside it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker.errors
import pytest

from tests.support.docker_registry import Registry, start_registry
from tests.support.native import NativeEngine
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.root

PASSWORD, WRONG, IDENTITY = "s3same-open", "wr0ng-pass", "1dentity-token"


@dataclass
class Guarded:
    """A registry that wants tokens, its token server, and an engine."""

    registry: Registry
    tokens: TokenServer
    engine: NativeEngine

    def name(self, path: str) -> str:
        return f"{self.registry.host}/{path}"

    def login(self, folder: Path) -> list[str]:
        """The CLI's flags that use what `docker login` wrote."""
        flags = ["--config", str(folder)]
        argv = [*flags, "login", "-u", "ali", "--password-stdin", self.registry.host]
        self.engine.docker(*argv, input=PASSWORD)
        return flags


@pytest.fixture(scope="module")
def guarded(native_engine: NativeEngine) -> Iterator[Guarded]:
    grants = {
        "ali": {name: {"pull", "push"} for name in ("ali/app", "ali/other")},
        "": {"public/app": {"pull"}},
    }
    grants["ali"]["public/app"] = {"pull", "push"}
    with TokenServer({"ali": PASSWORD}, grants) as tokens:
        registry = start_registry(tokens.configuration, {"token.pem": tokens.certificate})
        yield Guarded(registry, tokens, native_engine)
        registry.stop()
    log = native_engine.log.read_text()
    secrets = [PASSWORD, WRONG, IDENTITY, *tokens.given]
    assert [secret for secret in secrets if secret in log] == []


@pytest.fixture
def pushed_app(guarded: Guarded, tmp_path: Path) -> Iterator[list[str]]:
    """`ali/app` stands in the registry; the flags of a user who may have it."""
    flags = guarded.login(tmp_path / "cli")
    name = guarded.name("ali/app")
    guarded.engine.docker("tag", "busybox", name)
    guarded.engine.docker(*flags, "push", "-q", name)
    yield flags
    guarded.engine.docker("rmi", name, check=False)


def test_who_may_what(guarded: Guarded, pushed_app: list[str]) -> None:
    engine, name = guarded.engine, guarded.name("ali/app")
    denied = engine.docker("pull", name, check=False)
    assert denied.returncode == 1
    assert denied.stderr.endswith(
        f"Error response from daemon: pull access denied for {name}, repository does not exist or "
        "may require 'docker login': denied: requested access to the resource is denied\n"
    )
    push = engine.docker("push", name, check=False)
    assert push.stderr == "denied: requested access to the resource is denied\n"
    missing = engine.docker(*pushed_app, "pull", f"{name}:no", check=False)
    assert f"manifest for {name}:no not found: manifest unknown: manifest unknown" in missing.stderr
    assert "Image is up to date" in engine.docker(*pushed_app, "pull", name).stdout


def test_anonymous_pulls_get_a_token(guarded: Guarded, pushed_app: list[str]) -> None:
    name = guarded.name("public/app")
    guarded.engine.docker("tag", "busybox", name)
    guarded.engine.docker(*pushed_app, "push", "-q", name)
    guarded.engine.docker("rmi", name)
    guarded.tokens.asked.clear()
    guarded.engine.docker("pull", "-q", name)
    (asked,) = guarded.tokens.asked
    assert (asked.user, asked.scopes) == ("", ["repository:public/app:pull"])
    guarded.engine.docker("rmi", name)


def test_a_wrong_password(guarded: Guarded, pushed_app: list[str], tmp_path: Path) -> None:
    host = guarded.registry.host
    argv = ["--config", str(tmp_path), "login", "-u", "ali", "--password-stdin", host]
    login = guarded.engine.docker(*argv, input=WRONG, check=False)
    assert login.returncode == 1
    assert login.stderr.endswith(
        f'Get "http://{host}/v2/": unauthorized: incorrect username or password\n'
    )
    client = guarded.engine.client()
    auth = {"username": "ali", "password": WRONG}
    try:
        with pytest.raises(docker.errors.APIError) as caught:
            client.api.pull(guarded.name("ali/app"), auth_config=auth)
        assert caught.value.status_code == 401
        assert caught.value.explanation == "unauthorized: incorrect username or password"
        last = list(
            client.api.push(guarded.name("ali/app"), auth_config=auth, stream=True, decode=True)
        )[-1]
        assert last["error"] == "unauthorized: incorrect username or password"
    finally:
        client.close()


def test_identity_tokens(guarded: Guarded, pushed_app: list[str], tmp_path: Path) -> None:
    guarded.tokens.identity_token = IDENTITY
    try:
        flags = guarded.login(tmp_path / "identity")
        config = json.loads((tmp_path / "identity/config.json").read_text())
        assert config["auths"][guarded.registry.host]["identitytoken"] == IDENTITY
        guarded.tokens.asked.clear()
        guarded.engine.docker(*flags, "pull", "-q", guarded.name("ali/app"))
        (asked,) = guarded.tokens.asked
        assert asked.method == "POST" and asked.scopes == ["repository:ali/app:pull"]
        assert asked.form["grant_type"] == "refresh_token"
    finally:
        guarded.tokens.identity_token = ""


def test_a_registry_token_is_shown_as_it_is(guarded: Guarded, pushed_app: list[str]) -> None:
    token = guarded.tokens.token("ali", ["repository:ali/app:pull"])
    client = guarded.engine.client()
    try:
        guarded.tokens.asked.clear()
        client.api.pull(guarded.name("ali/app"), auth_config={"registrytoken": token})
    finally:
        client.close()
    assert guarded.tokens.asked == []


def test_mounting_asks_for_both_repositories(guarded: Guarded, pushed_app: list[str]) -> None:
    engine, other = guarded.engine, guarded.name("ali/other")
    engine.docker("tag", "busybox", other)
    guarded.tokens.asked.clear()
    out = engine.docker(*pushed_app, "push", other).stdout
    assert "Mounted from ali/app" in out
    scopes = [asked.scopes for asked in guarded.tokens.asked]
    assert ["repository:ali/other:pull,push", "repository:ali/app:pull"] in scopes
    engine.docker("rmi", other)


def test_a_mount_that_is_not_allowed_becomes_an_upload(
    guarded: Guarded, pushed_app: list[str]
) -> None:
    engine, other = guarded.engine, guarded.name("sent/again")
    guarded.tokens.grants["ali"]["sent/again"] = {"pull", "push"}
    guarded.tokens.grants["ali"].pop("ali/app")
    try:
        engine.docker("tag", "busybox", other)
        out = engine.docker(*pushed_app, "push", other).stdout
        assert ": Pushed" in out and "latest: digest: sha256:" in out
    finally:
        guarded.tokens.grants["ali"]["ali/app"] = {"pull", "push"}
        engine.docker("rmi", other, check=False)


def test_a_token_server_that_is_busy(guarded: Guarded, pushed_app: list[str]) -> None:
    try:
        guarded.tokens.status = 429
        busy = guarded.engine.docker(*pushed_app, "pull", guarded.name("ali/app"), check=False)
        assert "toomanyrequests: too many requests (try again in 17 seconds)" in busy.stderr
        guarded.tokens.status = 500
        broken = guarded.engine.docker(*pushed_app, "pull", guarded.name("ali/app"), check=False)
        assert re.search(
            r'Get "http://127[^"]*/token": received unexpected HTTP status: 500', broken.stderr
        )
    finally:
        guarded.tokens.status = 0


def test_distribution_needs_the_same_rights(guarded: Guarded, pushed_app: list[str]) -> None:
    client = guarded.engine.client()
    try:
        auth = {"username": "ali", "password": PASSWORD}
        found = client.api.inspect_distribution(guarded.name("ali/app"), auth_config=auth)
        assert found["Descriptor"]["digest"].startswith("sha256:")
        with pytest.raises(docker.errors.NotFound, match="pull access denied"):
            client.api.inspect_distribution(guarded.name("ali/secret"), auth_config=auth)
    finally:
        client.close()


def test_builds_take_their_base_with_the_clients_login(
    guarded: Guarded, pushed_app: list[str], tmp_path: Path
) -> None:
    engine, name = guarded.engine, guarded.name("ali/app")
    engine.docker("rmi", name)
    (tmp_path / "Dockerfile").write_text(f"FROM {name}\nENV a=b\n")
    refused = engine.docker("build", "-q", str(tmp_path), check=False)
    assert refused.returncode == 1 and f"pull access denied for {name}" in refused.stderr
    built = engine.docker(*pushed_app, "build", "-q", str(tmp_path)).stdout.strip()
    engine.docker("rmi", built)


def test_auth_answers_as_dockerd(guarded: Guarded) -> None:
    def ask(password: str) -> tuple[int, dict[str, str]]:
        body = {"username": "ali", "password": password, "serveraddress": guarded.registry.host}
        done = subprocess.run(
            [
                *("curl", "-s", "-w", "\n%{http_code}", "--unix-socket", guarded.engine.socket),
                *("-H", "Content-Type: application/json", "-d", json.dumps(body)),
                "http://d/v1.51/auth",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        answer, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(answer)

    assert ask(PASSWORD) == (200, {"IdentityToken": "", "Status": "Login Succeeded"})
    status, answer = ask(WRONG)
    assert status == 401 and answer["message"].endswith(
        "unauthorized: incorrect username or password"
    )


def test_events_and_inspection_hold_no_secrets(guarded: Guarded, pushed_app: list[str]) -> None:
    client = guarded.engine.client()
    auth = {"username": "ali", "password": PASSWORD}
    try:
        client.api.pull(guarded.name("ali/app"), auth_config=auth)
        events = list(client.events(since=int(time.time()) - 60, until=int(time.time()) + 1))
        told = json.dumps([client.info(), client.api.inspect_image(guarded.name("ali/app"))])
    finally:
        client.close()
    encoded = base64.b64encode(f"ali:{PASSWORD}".encode()).decode()
    told += b"".join(events).decode()
    assert "pull" in told and PASSWORD not in told and encoded not in told
