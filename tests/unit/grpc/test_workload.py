"""Workload tokens, in both forms."""

from __future__ import annotations

import pytest

from controller.core.inbound import WorkloadKind
from controller.grpc.workload import Workload, parse_workload


def pod(namespace: str, name: str) -> Workload:
    return Workload(WorkloadKind.POD, namespace, name)


def external(namespace: str, name: str) -> Workload:
    return Workload(WorkloadKind.EXTERNAL_WORKLOAD, namespace, name)


@pytest.mark.parametrize(
    ("token", "workload"),
    [
        # inbound 12
        ("my-namespace:my-pod", pod("my-namespace", "my-pod")),
        ('{"ns":"my-namespace", "pod":"my-pod"}', pod("my-namespace", "my-pod")),
        ('{"ns":"my-namespace", "external_workload":"my-external"}', external("my-namespace", "my-external")),
        # inbound 91: what injected proxies send
        ('{"ns":"a", "pod":"b", "nodeName":"n"}\n', pod("a", "b")),
        ('{"pod":"b","x":{"ns":"z","pod":[1.5,-2e3,null,true]},"ns":"a"} \t\r\n', pod("a", "b")),
        # inbound 92
        ("ns:a:b", pod("ns", "a:b")),
        # other names beside the first do not count, whatever they are
        ('{"ns":"a","pod":"b","pod":"c"}', pod("a", "b")),
        ('{"ns":"a","pod":"b","external_workload":"c"}', pod("a", "b")),
        ('{"external_workload":"c","ns":"a","pod":7}', external("a", "c")),
        # empty names are names, which nobody has
        ('{"ns":"","pod":""}', pod("", "")),
        # escapes are text
        ('{"\\u006es":"\\u0061","pod":"\\ud83d\\ude00"}', pod("a", "😀")),
        # white space in front makes it the old form
        (' {"ns":"a","pod":"b"}', pod(' {"ns"', '"a","pod":"b"}')),
    ],
)
def test_accepted(token: str, workload: Workload) -> None:
    """A token names a pod or an ExternalWorkload."""
    assert parse_workload(token) == workload


@pytest.mark.parametrize(
    "token",
    [
        '{"ns":"my-namespace", "nonsense":"my-external"}',  # inbound 12
        *["", "x", ":p", "ns:", ":", "{", '{"ns":"a"}', '{"ns":"a","pod":1}'],  # inbound 90
        *['{"pod":"b"}', '{"ns":null,"pod":"b"}', '{"ns":1,"pod":"b"}', '{"NS":"a","pod":"b"}', "{}"],
        '{"ns":"a","ns":"a","pod":"b"}',
        '{"ns":"a","pod":["b"],"external_workload":"c"}',
        *['{"ns":"a","pod":"b"} x', '{"ns":"a","pod":"b"}\x0b', '{"ns":"a","pod":"b",}', "{'ns':'a','pod':'b'}"],
        *['{"ns":"a","pod":"b","x":NaN}', '{"ns":"a","pod":"b","x":-Infinity}', '{"ns":"a","pod":"b","x":1e999}'],
        '{"ns":"a","pod":"b","x":' + "9" * 400 + "}",
        *['{"ns":"a\x01","pod":"b"}', '{"ns":"\\ud800","pod":"b"}', '{"ns":"a","pod":"b","x":"\\udc00"}'],
        '{"ns":"a","pod":"b","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_refused(token: str) -> None:
    """A token that names nobody is no workload, however strange it is."""
    assert parse_workload(token) is None
