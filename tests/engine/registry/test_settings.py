"""ROOT/daemon.json, and the environment of proxies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.registry.settings import Proxies, Settings, SettingsInvalid


def load(root: Path, environment: dict[str, str] | None = None, **stated: object) -> Settings:
    keys = {name.replace("_", "-"): value for name, value in stated.items()}
    (root / "daemon.json").write_text(json.dumps(keys))
    return Settings.load(root, environment or {})


def test_without_a_file(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {})
    assert (settings.downloads, settings.uploads, settings.attempts) == (3, 5, 5)
    assert settings.insecure == ("::1/128", "127.0.0.0/8")
    assert settings.certificates == (tmp_path / "certs.d", Path("/etc/docker/certs.d"))


def test_dockers_keys(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        registry_mirrors=["https://mirror.example:5000/"],
        insecure_registries=["reg.example:5000", "10.0.0.0/8"],
        max_concurrent_downloads=7,
        max_concurrent_uploads=2,
        max_download_attempts=1,
    )
    assert settings.mirrors == ("https://mirror.example:5000",)
    assert settings.insecure[2:] == ("reg.example:5000", "10.0.0.0/8")
    assert (settings.downloads, settings.uploads, settings.attempts) == (7, 2, 1)


def test_proxies_of_the_file_win_over_those_of_the_environment(tmp_path: Path) -> None:
    environment = {"HTTP_PROXY": "one:1", "https_proxy": "http://two:2", "NO_PROXY": "a,b"}
    assert load(tmp_path, environment).proxies == Proxies("http://one:1", "http://two:2", "a,b")
    stated = {"http-proxy": "http://me:pw@three:3", "no-proxy": "c"}
    proxies = load(tmp_path, environment, proxies=stated).proxies
    assert proxies == Proxies("http://me:pw@three:3", "http://two:2", "c")
    assert proxies.masked == Proxies("http://xxxxx:xxxxx@three:3", "http://two:2", "c")


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"colour": "red"}, "don't match any configuration option: colour"),
        ({"registry-mirrors": "x"}, "wanted a list of texts"),
        ({"registry-mirrors": ["mirror.example"]}, "wanted http"),
        ({"registry-mirrors": ["https://me:pw@mirror.example"]}, "must not hold a user"),
        ({"registry-mirrors": ["https://mirror.example/x"]}, "path, query, or fragment"),
        ({"insecure-registries": ["http://x"]}, "should not contain '://'"),
        ({"insecure-registries": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"max-concurrent-downloads": 0}, "from 1 to 1000"),
        ({"max-concurrent-uploads": True}, "from 1 to 1000"),
        ({"proxies": []}, None),
        ({"proxies": ["x"]}, "wanted an object"),
        ({"proxies": {"ftp-proxy": "x"}}, "unknown ftp-proxy"),
        ({"proxies": {"https-proxy": "https://x:1"}}, "https-proxy: only proxies"),
        ([], "wanted a JSON object"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, stated: object, words: str | None) -> None:
    (tmp_path / "daemon.json").write_text(json.dumps(stated))
    if words is None:
        Settings.load(tmp_path, {})
        return
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load(tmp_path, {})
    assert words in caught.value.message and str(tmp_path) in caught.value.message
    assert "pw" not in caught.value.message.replace(str(tmp_path), "")


def test_a_vm_starts_without_a_file_that_it_cannot_follow(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"bogus": 1, "max-concurrent-uploads": 9}')
    settings = Settings.load_leniently(tmp_path, {"HTTP_PROXY": "http://proxy:3128"})
    assert settings.refused.startswith(f"{tmp_path}/daemon.json: ") and "bogus" in settings.refused
    assert (settings.uploads, settings.proxies.http) == (5, "http://proxy:3128")
    assert settings.certificates[0] == tmp_path / "certs.d"
    (tmp_path / "daemon.json").write_text('{"max-concurrent-uploads": 9}')
    settings = Settings.load_leniently(tmp_path, {})
    assert (settings.uploads, settings.refused) == (9, "")


def test_no_json(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text("{,}")
    with pytest.raises(SettingsInvalid, match="can't read the settings"):
        Settings.load(tmp_path, {})
