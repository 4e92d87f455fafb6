"""Which proxy a request takes."""

from __future__ import annotations

import base64

import pytest

from engine.registry.proxies import Proxy, find_proxy, is_bypassed
from engine.registry.settings import Proxies


@pytest.mark.parametrize(
    ("bypass", "host", "port", "direct"),
    [
        ("", "example.org", 443, False),
        ("", "localhost", 443, True),
        ("", "127.1.2.3", 5000, True),
        ("", "::1", 5000, True),
        ("*", "example.org", 443, True),
        ("example.org", "example.org", 443, True),
        ("example.org", "a.example.org", 443, True),
        ("example.org", "anexample.org", 443, False),
        (".example.org", "a.example.org", 443, True),
        (".example.org", "example.org", 443, False),
        ("*.example.org", "a.example.org", 443, True),
        ("a, EXAMPLE.org ,b", "example.org", 443, True),
        ("example.org:5000", "example.org", 443, False),
        ("example.org:5000", "example.org", 5000, True),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1:81", "10.0.0.1", 80, False),
        ("10.0.0.0/8", "10.2.3.4", 80, True),
        ("10.0.0.0/8", "11.2.3.4", 80, False),
        ("10.0.0.0/8", "example.org", 80, False),
        ("nonsense/8", "10.2.3.4", 80, False),
        ("[fe80::1]:80", "fe80::1", 80, True),
        ("fe80::/16", "fe80::1", 80, True),
    ],
)
def test_bypasses(bypass: str, host: str, port: int, direct: bool) -> None:
    assert is_bypassed(bypass, host, port) is direct


def test_by_scheme() -> None:
    proxies = Proxies("http://plain:1", "http://me:p%40ss@secure", "intern")
    assert find_proxy(proxies, "http", "example.org", 80) == Proxy("plain", 1)
    secure = find_proxy(proxies, "https", "Example.org", 443)
    assert secure is not None and (secure.host, secure.port) == ("secure", 80)
    assert base64.b64decode(secure.authorization.removeprefix("Basic ")) == b"me:p@ss"
    assert "p@ss" not in repr(secure) and "Basic" not in repr(secure)
    assert find_proxy(proxies, "https", "INTERN", 443) is None
    assert find_proxy(Proxies(), "https", "example.org", 443) is None
