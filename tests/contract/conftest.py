"""Every test of the contract runs against the embedded API server and against a real one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.contract.servers import NAMESPACES, Server, embedded_server, real_server, unique
from tests.contract.widgets import WIDGETS
from tests.kube import KubeServer, kube_server

_SERVERS = [pytest.param("embedded"), pytest.param("real", marks=pytest.mark.cluster)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests against the real server need its programs, which their parameter alone does not show."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        fixtures = getattr(item, "fixturenames", [])
        if callspec is not None and "real" in callspec.params.values() and "assets" not in fixtures:
            fixtures.append("assets")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with embedded_server(tmp_path_factory.mktemp("embedded")) as server:
        yield server


@pytest.fixture(scope="session", params=_SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An API server; use a namespace of your own."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
    else:
        kube: KubeServer = request.getfixturevalue("kube")
        with real_server(kube) as found:
            yield found


@pytest.fixture
def namespace(server: Server) -> str:
    """The address of a new namespace."""
    return f"{NAMESPACES}/{server.namespace()}"


@attrs.frozen
class Widgets:
    """Where widgets are served to a test."""

    server: Server
    group: str
    namespace: str

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/v1/namespaces/{self.namespace}/widgets"

    @property
    def old_path(self) -> str:
        return f"/apis/{self.group}/v1alpha1/namespaces/{self.namespace}/widgets"


@pytest.fixture(scope="session")
def widget_group(server: Server) -> str:
    """The one definition of widgets with a short name and a category: kubectl warns of names that are not unique."""
    definition = copy.deepcopy(WIDGETS)
    definition["spec"]["names"] |= {"shortNames": ["wd"], "categories": ["contract"]}
    return server.define(definition)


@pytest.fixture
def widgets(server: Server, widget_group: str) -> Widgets:
    """Widgets in a namespace of the test's own."""
    return Widgets(server, widget_group, server.namespace())


@attrs.frozen
class Forgetful:
    """A server that has forgotten its history up to a revision, and what was asked for before."""

    server: Server
    path: str
    old: str  # a revision that is gone
    token: str  # of a list that began before


@pytest.fixture(scope="session", params=_SERVERS)
def forgetful(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forgetful]:
    """An API server of its own whose history has been compacted."""
    if request.param == "embedded":
        with embedded_server(tmp_path_factory.mktemp("forgetful")) as server:
            yield _forget(server)
    else:
        assets: Path = request.getfixturevalue("assets")
        with kube_server(assets) as kube, real_server(kube) as server:
            yield _forget(server)


def _forget(server: Server) -> Forgetful:
    path = f"{NAMESPACES}/{server.namespace()}/configmaps"
    for number in range(5):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{unique('old')}-{number}"}}
        created = server.create(path, body)
    page = server.get(f"{path}?limit=2").json()
    old = page["metadata"]["resourceVersion"]
    name = created["metadata"]["name"]
    for number in range(5):
        newest = server.patch(f"{path}/{name}", {"data": {"n": str(number)}}).json()
    server.forget(int(newest["metadata"]["resourceVersion"]))
    return Forgetful(server, path, old, page["metadata"]["continue"])
