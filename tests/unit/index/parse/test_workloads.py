"""Named ports, probes and settings of workloads."""

from __future__ import annotations

import pytest

from controller.core.cluster import DefaultPolicy
from controller.core.ports import PortSet
from controller.index.parse.invalid import Invalid
from controller.index.parse.request_target import parse_request_path
from controller.index.parse.workloads import WorkloadSettings, parse_pod_shape, parse_settings
from tests.builders import Object, container, pod, port

NO_SETTINGS = WorkloadSettings()


def _probes(*containers: Object, init: tuple[Object, ...] = ()) -> dict[int, tuple[str, ...]]:
    return dict(parse_pod_shape(pod("p", *containers, init=init).spec, NO_SETTINGS).probes)


# inbound 13
def test_probes_of_all_containers_are_found() -> None:
    """By number and by name, in containers and init containers; the port of each has its paths."""
    a = container(live=(5432, "/liveness-container-1"), ready=(5432, "/ready-container-1"))
    b = container(port("named-1", 6543), live=("named-1", "/liveness-container-2"), ready=(6543, "/ready-container-2"))
    init = container(live=(4191, "/live"), ready=(4191, "/ready"))

    assert _probes(a, b, init=(init,)) == {
        5432: ("/liveness-container-1", "/ready-container-1"),
        6543: ("/liveness-container-2", "/ready-container-2"),
        4191: ("/live", "/ready"),
    }


# inbound 14 15
@pytest.mark.parametrize(
    "containers",
    [
        [container(port("named", 80, "UDP"), live=("named", "/"))],
        [container(live=("named", "/")), container(port("named", 80))],
        [container(live=(0, "/"))],
        [container(live=(65_536, "/"))],
        [container(live=(80, "not a path"))],
        [{"livenessProbe": {"tcpSocket": {"port": 80}}}],
    ],
)
def test_probes_that_nobody_can_send(containers: list[Object]) -> None:
    """UDP ports, names of other containers, numbers that are no ports, paths that are none."""
    assert _probes(*containers) == {}


# inbound 16 17
def test_a_probe_may_leave_out_its_path() -> None:
    """The path is `/` then; a query is not part of it; a port need not be declared; names ignore case."""
    assert _probes(container(live=(8080, None))) == {8080: ("/",)}
    assert _probes(container(live=(80, "/liveness-container-1?foo=bar"))) == {80: ("/liveness-container-1",)}
    assert _probes(container(port("Http", 80), startup=("hTTP", "/x"))) == {80: ("/x",)}


# inbound 18
def test_named_ports_of_all_containers_are_found() -> None:
    """Each name has the ports that some container gives it, if they are TCP."""
    spec = pod(
        "p",
        container(port("http", 8080), port("grpc", 8801, None), port(None, 1), port("udp", 53, "UDP")),
        container(port("http", 8081, "tcp"), port("http", 8080), port("zero", 0)),
        init=[container(port("linkerd-admin", 4191))],
    ).spec

    assert parse_pod_shape(spec, NO_SETTINGS).named_ports == {
        "http": (8080, 8081),
        "grpc": (8801,),
        "linkerd-admin": (4191,),
    }


def test_a_pod_without_spec_has_nothing() -> None:
    """No containers, no ports, no probes."""
    shape = parse_pod_shape(None, NO_SETTINGS)

    assert (shape.named_ports, shape.probes) == ({}, {})


def test_settings_are_read_one_by_one() -> None:
    """An annotation that has no meaning does not take the others with it."""
    assert parse_settings(None, None, None) == NO_SETTINGS
    assert parse_settings("deny", "1-2", "80") == WorkloadSettings(
        DefaultPolicy.DENY, PortSet(((1, 2),)), PortSet(((80, 80),))
    )
    assert parse_settings("bogus", "x", "80") == WorkloadSettings(require_identity=PortSet(((80, 80),)))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a?x=y", "/a"),
        ("/a?b?c", "/a"),
        ("/a#frag", "/a"),
        ("/a?q#f?", "/a"),
        ("/a#any thing\n", "/a"),
        ('/"{}|~;=!', '/"{}|~;=!'),
        ("/%7b", "/%7b"),
        ("//x", "//x"),
        ("*", "*"),
        ("healthz", ""),
        ("HOST:80", ""),
        ("user:pw%20@host:80", ""),
        ("[::1]:80", ""),
        ("[fe80::1%25eth0]", ""),
        ("http://h/abs", "/abs"),
        ("HTTPS://h:80/abs?x", "/abs"),
        ("http://h", "/"),
        ("http://h?x", "/"),
        ("x+y://h/a", "/a"),
        ("x" * 64 + "://h/a", "/a"),
        ("/" + "a" * 65_533, "/" + "a" * 65_533),
    ],
)
def test_the_path_in_a_request_target(target: str, path: str) -> None:
    """Of an absolute path, a URL or a bare host, what a request would ask for."""
    assert parse_request_path(target) == path


@pytest.mark.parametrize(
    "target",
    [
        "",
        "?x",
        "#x",
        "a/b",
        "a?b",
        "/sp ace",
        "/`",
        "/a<b>",
        "/a?<",
        "/é",
        "/a\n",
        "a b",
        "a%20b",
        "a:1:2",
        "user@",
        "[::1",
        "::1]",
        "http://",
        "http:///a",
        "http://h /a",
        "http://h/a b",
        "x" * 65 + "://h/a",
        "/" + "a" * 65_534,
    ],
)
def test_what_is_no_request_target(target: str) -> None:
    """Nothing of it can be matched."""
    with pytest.raises(Invalid):
        parse_request_path(target)
