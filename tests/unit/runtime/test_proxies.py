"""Which proxy the environment wants."""

from __future__ import annotations

import pytest

from controller.runtime.proxies import proxy_for


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api:6443", {}, None),
        ("https://api:6443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api:6443", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://api:6443", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://api", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, None),
    ],
)
def test_the_variables(url: str, environment: dict[str, str], proxy: str | None) -> None:
    """Each scheme has its variable, in capitals or not; the machine itself is always asked directly."""
    assert proxy_for(url, environment) == proxy


# runtime C10
@pytest.mark.parametrize(
    ("url", "exclusions", "direct"),
    [
        ("https://api.example.com", "*", True),
        ("https://api.example.com", "api.example.com", True),
        ("https://api.example.com", "API.Example.com", True),
        ("https://api.example.com", "other.com, example.com", True),
        ("https://api.example.com", ".example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", "*.example.com", True),
        ("https://badexample.com", "example.com", False),
        ("https://api.example.com", "ple.com", False),
        ("https://api.example.com:6443", "api.example.com:6443", True),
        ("https://api.example.com:6443", "api.example.com:443", False),
        ("https://api.example.com", "api.example.com:443", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3", "10.1.2.30", False),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]:6443", "[fd00::1]:443", False),
        ("https://10.1.2.3", "not/a/network", False),
        ("https://api", " , ", False),
    ],
)
def test_no_proxy(url: str, exclusions: str, direct: bool) -> None:
    """NO_PROXY names hosts, domains, addresses, blocks and ports."""
    for name in ("NO_PROXY", "no_proxy"):
        found = proxy_for(url, {"HTTPS_PROXY": "http://p:1", name: exclusions})
        assert (found is None) is direct
