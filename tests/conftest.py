"""What every kind of test may use: a real API server and the programs around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube import HOW_TO, KubeServer, NoAssets, find_assets, kube_server

_missing: str | None = None


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with etcd, kube-apiserver, kubectl, grpcurl and h2spec. In CI their absence is a failure."""
    global _missing  # noqa: PLW0603  # one fact about this run, told in its last lines
    try:
        return find_assets()
    except NoAssets as error:
        _missing = str(error)
        if os.environ.get("CI"):
            pytest.fail(f"the programs of a real API server are not to be had: {error}. {HOW_TO}")
        pytest.skip("no programs of a real API server")


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _missing is not None:
        terminalreporter.write_sep("=", "tests against a real API server were skipped", yellow=True)
        terminalreporter.write_line(f"{_missing}.")
        terminalreporter.write_line(HOW_TO)
