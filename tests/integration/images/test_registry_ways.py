"""Ways to a registry: mirrors, proxies, certificates, insecure and IPv6 ones, foreign layers."""

from __future__ import annotations

import gzip
import http.client
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.archives import archive_of, config_of, digest, tar_of
from tests.support.authority import Authority
from tests.support.docker_registry import Registry, start_registry
from tests.support.forward_proxy import ForwardProxy
from tests.support.native import NativeEngine, new_engine
from tests.support.registry_proxy import Proxy

pytestmark = pytest.mark.root


@dataclass
class Ways:
    """An engine whose settings name a mirror, a proxy, and a registry without encryption."""

    engine: NativeEngine
    proxy: ForwardProxy
    mirror: Proxy
    secure: Registry
    authority: Authority


USER, PASSWORD = "ali", "open-sesame"


def htpasswd() -> bytes:
    import bcrypt

    secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).replace(b"$2b$", b"$2y$")
    return f"{USER}:".encode() + secret + b"\n"


@pytest.fixture(scope="module")
def ways(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    crt, key = authority.issue("registry.test")
    secure = start_registry(
        "auth: {htpasswd: {realm: test, path: '{folder}/htpasswd'}}",
        {"htpasswd": htpasswd(), "crt": crt, "key": key, "clients": authority.certificate},
        tls=True,
        clients=True,
    )
    hosts = {"registry.test:443": secure.port, "plain.test:5000": registry.port}
    engine = new_engine()
    with (
        Proxy(registry.port) as mirror,
        ForwardProxy(hosts, user="prx", password="pr0xysecret") as proxy,
    ):
        address = f"http://prx:pr0xysecret@{proxy.host}"
        settings = {
            "registry-mirrors": ["http://127.0.0.1:9", f"http://{mirror.host}"],
            "insecure-registries": ["plain.test:5000"],
            "proxies": {"http-proxy": address, "https-proxy": address, "no-proxy": "none.test"},
            "max-download-attempts": 3,
        }
        engine.root.mkdir(parents=True)
        (engine.root / "daemon.json").write_text(json.dumps(settings))
        try:
            engine.start()
            engine.docker("load", "-q", input=archive_of("small:latest", [tar_of({"file": b"x"})]))
            yield Ways(engine, proxy, mirror, secure, authority)
        finally:
            log = engine.log.read_text() if engine.log.exists() else ""
            engine.clean()
            secure.stop()
    assert "pr0xysecret" not in log and PASSWORD not in log


def certificates(ways: Ways) -> Path:
    folder = ways.engine.root / "certs.d/registry.test"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def login(ways: Ways, folder: Path) -> None:
    argv = ["--config", str(folder), "login", "-u", USER, "--password-stdin", "registry.test"]
    ways.engine.docker(*argv, input=PASSWORD)


def test_info_tells_without_secrets(ways: Ways) -> None:
    client = ways.engine.client()
    try:
        told = client.info()
    finally:
        client.close()
    assert told["HttpProxy"] == told["HttpsProxy"] == f"http://xxxxx:xxxxx@{ways.proxy.host}"
    assert told["NoProxy"] == "none.test"
    assert told["RegistryConfig"]["Mirrors"][1] == f"http://{ways.mirror.host}/"
    assert told["RegistryConfig"]["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8"]
    assert told["RegistryConfig"]["IndexConfigs"]["plain.test:5000"]["Secure"] is False


def test_a_mirror_stands_in_front_of_the_hub(ways: Ways, registry: Registry) -> None:
    name = f"{registry.host}/library/mirrored:1"
    ways.engine.docker("tag", "small", name)
    ways.engine.docker("push", "-q", name)
    ways.engine.docker("rmi", name)
    out = ways.engine.docker("pull", "mirrored:1").stdout
    # the first mirror is dead
    assert "1: Pulling from library/mirrored" in out
    assert "Status: Downloaded newer image for mirrored:1" in out
    assert any("/v2/library/mirrored/manifests/1" in path for _, path, _ in ways.mirror.requests)
    client = ways.engine.client()
    try:
        asked = client.images.get_registry_data("mirrored:1")
    finally:
        client.close()
    assert f"mirrored@{asked.id}" in ways.engine.docker("inspect", "mirrored:1").stdout
    assert "mirrored@sha256:" in ways.engine.docker("inspect", "mirrored:1").stdout
    missing = ways.engine.docker("pull", "mirrored:2", check=False)
    assert missing.returncode == 1
    # the hub itself has the last word
    assert "registry-1.docker.io" in missing.stderr
    ways.engine.docker("rmi", "mirrored:1")


def test_a_proxy_and_plain_http(ways: Ways) -> None:
    ways.engine.docker("tag", "small", "plain.test:5000/by/proxy:1")
    ways.engine.docker("push", "-q", "plain.test:5000/by/proxy:1")
    ways.engine.docker("rmi", "plain.test:5000/by/proxy:1")
    ways.engine.docker("pull", "-q", "plain.test:5000/by/proxy:1")
    assert any(
        line.startswith("GET http://plain.test:5000/v2/by/proxy/") for line in ways.proxy.seen
    )
    elsewhere = ways.engine.docker("pull", "none.test/app", check=False)
    assert "lookup none.test: no such host" in elsewhere.stderr
    assert not any("none.test" in line for line in ways.proxy.seen)


def test_a_ca_of_its_own_basic_auth_and_a_client_certificate(ways: Ways, tmp_path: Path) -> None:
    engine, folder = ways.engine, certificates(ways)
    unknown = engine.docker("pull", "registry.test/app", check=False)
    assert unknown.returncode == 1
    assert "tls: failed to verify certificate: x509:" in unknown.stderr
    assert f"{engine.root}/certs.d/registry.test/ca.crt" in unknown.stderr
    (folder / "ca.crt").write_bytes(ways.authority.certificate)
    unshown = engine.docker("pull", "registry.test/app", check=False)
    assert "the registry wants a client certificate" in unshown.stderr
    crt, key = ways.authority.issue("somebody")
    (folder / "client.cert").write_bytes(crt)
    alone = engine.docker("pull", "registry.test/app", check=False)
    assert "missing key client.key for client certificate client.cert" in alone.stderr
    (folder / "client.key").write_bytes(key)
    done = engine.docker("pull", "registry.test/app", check=False)
    assert 'Get "https://registry.test/v2/app/manifests/latest": no basic auth' in done.stderr
    login(ways, tmp_path)
    engine.docker("tag", "small", "registry.test/app")
    engine.docker("--config", str(tmp_path), "push", "-q", "registry.test/app")
    engine.docker("rmi", "registry.test/app")
    engine.docker("--config", str(tmp_path), "pull", "-q", "registry.test/app")
    assert any(line.startswith("CONNECT registry.test:443 ") for line in ways.proxy.seen)


def test_ipv6(ways: Ways) -> None:
    registry = start_registry(address="[::1]")
    try:
        name = f"[::1]:{registry.port}/six/app:1"
        client = ways.engine.client()
        try:
            client.api.tag("small", f"[::1]:{registry.port}/six/app", "1")
            lines = list(client.api.push(name, stream=True, decode=True))
            assert "error" not in lines[-1], lines[-1]
            client.api.remove_image(name)
            client.api.pull(f"[::1]:{registry.port}/six/app", "1")
            assert name in client.images.get(name).tags
        finally:
            client.close()
    finally:
        registry.stop()


# ---- what Debian's registry doesn't do: a registry of a few answers --------------------------

Answers = dict[str, tuple[int, bytes, dict[str, str]]]


@dataclass
class Small:
    """A registry that has exactly the answers which it was given, by path without the query."""

    answers: Answers
    asked: list[str]
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, path: str, content: bytes, media_type: str = "", status: int = 200) -> None:
        headers = {"Content-Type": media_type or "application/octet-stream"}
        self.answers[path] = (status, content, headers)

    def add_image(self, name: str, layer: dict[str, Any], plain: bytes) -> None:
        """An image of one layer with a given descriptor."""
        config = config_of([plain])
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(config),
                "digest": f"sha256:{digest(config)}",
            },
            "layers": [layer],
        }
        content = json.dumps(manifest).encode()
        self.add(f"/v2/{name}/manifests/1", content, manifest["mediaType"])
        self.add(f"/v2/{name}/blobs/sha256:{digest(config)}", config)


@pytest.fixture
def small() -> Iterator[Small]:
    answers: Answers = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            asked.append(self.path)
            status, content, headers = answers.get(self.path.partition("?")[0], (404, b"{}", {}))
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    answers["/v2/"] = (200, b"{}", {})
    yield Small(answers, asked, server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_foreign_layer_comes_from_its_address(ways: Ways, small: Small) -> None:
    plain = tar_of({"foreign": os.urandom(2000)})
    packed = gzip.compress(plain, 1)
    small.add("/elsewhere/layer", packed)
    descriptor = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "size": len(packed),
        "digest": f"sha256:{digest(packed)}",
        "urls": [
            "ftp://nowhere/x",
            f"http://{small.host}/gone",
            f"http://{small.host}/elsewhere/layer",
        ],
    }
    small.add_image("foreign", descriptor, plain)
    ways.engine.docker("pull", "-q", f"{small.host}/foreign:1")
    assert "/gone" in small.asked and "/elsewhere/layer" in small.asked
    ways.engine.docker("rmi", f"{small.host}/foreign:1")


def test_schema_1_is_refused_clearly(ways: Ways, small: Small) -> None:
    signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    manifest = {"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": []}
    small.add("/v2/old/manifests/1", json.dumps(manifest).encode(), signed)
    done = ways.engine.docker("pull", f"{small.host}/old:1", check=False)
    assert done.returncode == 1 and "manifest of schema version 1" in done.stderr
    assert "push it again" in done.stderr


def test_what_is_no_image_is_told(ways: Ways, small: Small) -> None:
    small.add("/v2/text/manifests/1", b"<html>", "text/html")
    done = ways.engine.docker("pull", f"{small.host}/text:1", check=False)
    assert done.returncode == 1 and "the manifest is no JSON" in done.stderr


def test_a_manifest_that_promises_too_little(ways: Ways, small: Small) -> None:
    plain = tar_of({"file": os.urandom(3000)})
    packed = gzip.compress(plain, 1)
    small.add(f"/v2/liar/blobs/sha256:{digest(packed)}", packed)
    descriptor = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "size": 10,
        "digest": f"sha256:{digest(packed)}",
    }
    small.add_image("liar", descriptor, plain)
    done = ways.engine.docker("pull", f"{small.host}/liar:1", check=False)
    assert "sends more than the 10 bytes that the manifest promises" in done.stderr


def test_rate_limits(ways: Ways, small: Small) -> None:
    limit = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your limit."}]}
    small.answers["/v2/busy/manifests/1"] = (429, json.dumps(limit).encode(), {"Retry-After": "99"})
    done = ways.engine.docker("pull", f"{small.host}/busy:1", check=False)
    assert done.returncode == 1
    wanted = "toomanyrequests: You have reached your limit. (try again in 99 seconds)"
    assert wanted in done.stderr


def test_search(ways: Ways, small: Small, registry: Registry) -> None:
    results = [
        {"name": "apple", "description": "red", "star_count": 7, "is_official": True},
        {"name": "me/apple", "description": "", "star_count": 0},
    ]
    small.add("/v1/search", json.dumps({"results": results}).encode(), "application/json")
    search = [*("search", "--no-trunc", "--format"), "{{.Name}} {{.StarCount}} {{.IsOfficial}}"]
    out = ways.engine.docker(*search, "--limit", "7", f"{small.host}/apple").stdout
    assert out.splitlines() == ["apple 7 [OK]", "me/apple 0 "]
    assert small.asked[-1] == "/v1/search?q=apple&n=7"
    chosen = ["--filter", "is-official=true", "--filter", "stars=3"]
    out = ways.engine.docker(*search, *chosen, f"{small.host}/apple").stdout
    assert out.splitlines() == ["apple 7 [OK]"]
    wrong = ways.engine.docker(*search, "--limit", "101", f"{small.host}/apple", check=False)
    assert "limit 101 is outside the range of [1, 100]" in wrong.stderr
    none = ways.engine.docker("search", f"{registry.host}/apple", check=False)
    assert f"the registry {registry.host} has no search" in none.stderr


def test_a_registry_that_is_busy_for_a_moment(
    ways: Ways, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways.engine.docker(
        "load", "-q", input=archive_of("busy:latest", [tar_of({"f": os.urandom(5000)})])
    )
    ways.engine.docker("tag", "busy", f"{registry.host}/busy:1")
    ways.engine.docker("push", "-q", f"{registry.host}/busy:1")
    image = ways.engine.docker("inspect", "-f", "{{.Id}}", "busy").stdout.strip()
    ways.engine.docker("rmi", "-f", image)
    with Proxy(registry.port) as proxy:
        name = f"{proxy.host}/busy:1"
        manifest = _get(registry.port, "/v2/busy/manifests/1")
        blob = json.loads(manifest)["layers"][0]["digest"]
        proxy.refuse_path = blob
        proxy.refuse = [503, 429]
        ways.engine.docker("pull", "-q", name)
        assert len([path for path in proxy.blobs() if blob in path]) == 3
        ways.engine.docker("rmi", name)
        proxy.refuse = [403]
        done = ways.engine.docker("pull", name, check=False)
        assert f"pull access denied for {proxy.host}/busy, " in done.stderr


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        accept = "application/vnd.docker.distribution.manifest.v2+json"
        connection.request("GET", path, headers={"Accept": accept})
        return connection.getresponse().read()
    finally:
        connection.close()


def test_wrong_settings_keep_the_engine_from_starting() -> None:
    engine = new_engine()
    engine.root.mkdir(parents=True)
    (engine.root / "daemon.json").write_text('{"registry-mirror": []}')
    try:
        with pytest.raises(RuntimeError, match="match any configuration option: registry-mirror"):
            engine.start()
    finally:
        engine.clean()
