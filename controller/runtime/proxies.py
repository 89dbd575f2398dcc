"""Which proxy the environment wants for a URL, as Go's HTTP client reads it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy for this URL, or `None` to connect directly."""
    parts = urlsplit(url)
    name = f"{parts.scheme}_proxy"
    proxy = environment.get(name.upper()) or environment.get(name)
    if not proxy:
        return None
    if _is_excluded(parts, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excluded(parts: SplitResult, exclusions: str) -> bool:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme)
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_excludes(item.strip().lower(), host, port, address) for item in exclusions.split(",") if item.strip())


def _excludes(item: str, host: str, port: int | None, address: IPv4Address | IPv6Address | None) -> bool:
    if item == "*":
        return True
    if "/" in item:
        return address is not None and _in_network(address, item)
    pattern, pattern_port = _split_port(item)
    if pattern_port is not None and pattern_port != port:
        return False
    excluded = _address(pattern)
    if excluded is not None:
        return address == excluded
    if pattern.startswith("*."):
        pattern = pattern[1:]
    if pattern.startswith("."):
        return host.endswith(pattern)
    return host == pattern or host.endswith(f".{pattern}")


def _split_port(item: str) -> tuple[str, int | None]:
    if item.startswith("["):
        host, _, rest = item[1:].partition("]")
        port = rest.removeprefix(":")
        return host, int(port) if port.isdigit() else None
    host, colon, port = item.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        return host, int(port)
    return item, None


def _in_network(address: IPv4Address | IPv6Address, text: str) -> bool:
    try:
        return address in ip_network(text, strict=False)
    except ValueError:
        return False


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
