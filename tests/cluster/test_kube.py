"""The real API server that other tests rely on."""

from __future__ import annotations

import json

import pytest

from tests.kube import KubeServer

pytestmark = pytest.mark.cluster


def test_it_answers_as_its_admin(kube: KubeServer) -> None:
    """The admin token may list, and the version is the one that is pinned."""
    version = json.loads(kube.kubectl("version", "-o", "json"))

    assert version["serverVersion"]["minor"] == "36"
    assert "default" in kube.kubectl("get", "namespaces", "-o", "name")


def test_it_keeps_its_address_and_its_objects_over_a_restart(own_kube: KubeServer) -> None:
    """A client finds the same objects at the same address after the server was killed and started again."""
    own_kube.kubectl("create", "namespace", "kept")

    own_kube.stop_api_server(kill=True)
    own_kube.start_api_server()

    assert "namespace/kept" in own_kube.kubectl("get", "namespaces", "-o", "name")
