"""What every kind of test may use: a real API server and the programs around it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.kube import HOW_TO, KubeServer, NoAssets, find_assets, kube_server

NO_ASSETS = "no programs of a real API server"
FOUND = pytest.StashKey["Path | NoAssets"]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the programs before the first test: building them takes longer than any test may."""
    wanted = any("assets" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            session.config.stash[FOUND] = find_assets()
        except NoAssets as error:
            session.config.stash[FOUND] = error


@pytest.fixture(scope="session")
def assets(pytestconfig: pytest.Config) -> Path:
    """The folder with etcd, kube-apiserver, kubectl, grpcurl and h2spec. In CI their absence is a failure."""
    found = pytestconfig.stash[FOUND]
    if isinstance(found, Path):
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{NO_ASSETS}: {found}. {HOW_TO}", pytrace=False)
    pytest.skip(f"{NO_ASSETS}: {found}")


@pytest.fixture(scope="session")
def kube(assets: Path) -> Iterator[KubeServer]:
    """A real etcd and kube-apiserver, shared by the whole run; use a namespace of your own."""
    with kube_server(assets) as server:
        yield server


@pytest.fixture
def own_kube(assets: Path) -> Iterator[KubeServer]:
    """One that a test may stop, kill and freeze."""
    with kube_server(assets) as server:
        yield server


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Say at the very end what was left out and how to have it, so that nobody takes a part for the whole."""
    yield
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if NO_ASSETS in str(report.longrepr)]
    if skipped:
        terminalreporter.write_sep("=", f"{len(skipped)} tests against a real API server were skipped", yellow=True)
        terminalreporter.write_line(HOW_TO)
