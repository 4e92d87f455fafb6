"""Credentials, challenges, and what a registry's refusal becomes."""

from __future__ import annotations

import base64

import pytest

from engine.registry.auth import Challenge, Credentials
from engine.registry.endpoints import registry_host
from engine.registry.errors import from_response, pull_error
from engine.registry.settings import Settings
from engine.registry.transport import Origin, shown
from engine.registry.trust import is_insecure


def test_challenges() -> None:
    challenge = Challenge.parse(
        'Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"'
    )
    assert challenge.scheme == "bearer"
    assert challenge.parameters["realm"] == "https://auth.example/token"
    assert challenge.parameters["scope"] == "repository:a/b:pull,push"
    assert Challenge.parse("Basic realm=x").parameters == {"realm": "x"}
    assert Challenge.parse("").scheme == ""


def test_credentials_are_never_printed() -> None:
    found = Credentials.of({"username": "me", "password": "s3cret", "identitytoken": "t0ken"})
    assert "s3cret" not in repr(found) and "t0ken" not in repr(found)
    assert base64.b64decode(found.basic.removeprefix("Basic ")) == b"me:s3cret"
    packed = Credentials.of({"auth": base64.b64encode(b"you:pass:word").decode()})
    assert (packed.username, packed.password) == ("you", "pass:word")
    assert Credentials.of({}).basic == ""


@pytest.mark.parametrize(
    ("status", "body", "challenge", "message"),
    [
        (
            404,
            b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}',
            "",
            "manifest for app:1 not found: manifest unknown: manifest unknown",
        ),
        (
            401,
            b"{}",
            'Bearer realm="x",error="insufficient_scope"',
            "pull access denied for app, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
        ),
        (
            404,
            b'{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}',
            "",
            "repository app not found: name unknown: unknown",
        ),
        (401, b"", "", "unauthorized: authentication required"),
        (
            429,
            b"<html>slow down</html>",
            "",
            "toomanyrequests: too many requests (try again in 30 seconds)",
        ),
        (503, b"", "", "received unexpected HTTP status: 503 Service Unavailable"),
        (401, b'{"details":"who are you"}', "", "unauthorized: who are you"),
    ],
)
def test_refusals(status: int, body: bytes, challenge: str, message: str) -> None:
    error = from_response(status, body, challenge, "30" if status == 429 else "")
    assert str(pull_error(error, "app:1", "app")) == message


def test_origins_and_hosts() -> None:
    assert str(Origin.of("https://a.example/v2/")) == "https://a.example"
    assert str(Origin.of("http://[::1]:5000/x")) == "http://[::1]:5000"
    assert registry_host("docker.io") == "registry-1.docker.io"

    def insecure(domain: str, *more: str) -> bool:
        return is_insecure(Settings(insecure=(*Settings().insecure, *more)), domain)

    assert insecure("127.0.0.1:5000") and insecure("localhost") and insecure("[::1]:5000")
    assert not insecure("10.0.0.1:5000") and not insecure("example.org")
    assert insecure("10.0.0.1:5000", "10.0.0.0/24") and insecure("example.org", "example.org")
    assert insecure("example.org:5000", "example.org:5000")
    assert not insecure("example.org", "example.org:5000")


def test_errors_show_no_secrets_of_addresses() -> None:
    assert shown("https://me:pw@host:1/a/b?sig=x#y") == "https://host:1/a/b"
