"""The two kinds of parents that scenarios run with, Service and EgressNetwork, and how each is asked about."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from tests.destinations import Object, egress_network, egress_ref, service, service_ref
from tests.outbound_controller import Controller, Stream

LOOKED_UP = 4191
BACKEND_PORT = 8888


@attrs.frozen
class ParentCase:
    """A parent; an EgressNetwork is the backend of its own routes."""

    letter: str

    @property
    def is_service(self) -> bool:
        return self.letter == "SP"

    def parent(self, *, annotations: dict[str, str] | None = None) -> Object:
        return service(annotations=annotations) if self.is_service else egress_network(annotations=annotations)

    def objects(self, **annotations: str) -> list[Object]:
        """The parent, and the Service that its routes send traffic to."""
        backend = service("backend", ips=["10.96.0.2"], ports=[4191])
        return [self.parent(annotations=annotations or None), backend]

    def address(self, port: int = LOOKED_UP) -> str:
        return f"{'10.96.0.1' if self.is_service else '1.1.1.1'}:{port}"

    def ref(self, **fields: Any) -> Object:
        """How a route names it as its parent."""
        fields = {"port": LOOKED_UP, **fields}
        return service_ref(**fields) if self.is_service else egress_ref(**fields)

    def backend(self, name: str | None = None, **fields: Any) -> Object:
        """How a route of it names where traffic goes."""
        fields = {"port": BACKEND_PORT, **fields}
        if self.is_service:
            return service_ref(name or "backend", **fields)
        return egress_ref(name or "my-egress", **fields)

    @property
    def metadata(self) -> tuple[str, str, str, int]:
        return (
            ("Service", "ns", "my-svc", LOOKED_UP)
            if self.is_service
            else ("EgressNetwork", "ns", "my-egress", LOOKED_UP)
        )

    @property
    def backend_metadata(self) -> tuple[str, str, str, int]:
        if self.is_service:
            return ("Service", "ns", "backend", BACKEND_PORT)
        return ("EgressNetwork", "ns", "my-egress", BACKEND_PORT)


SP, EP = ParentCase("SP"), ParentCase("EP")
BOTH = (SP, EP)


def on(parents: tuple[ParentCase, ...], letters: str) -> pytest.MarkDecorator:
    """Run for each parent with each kind of route."""
    cases = list(itertools.product(parents, letters))
    return pytest.mark.parametrize(("on", "letter"), cases, ids=[f"{p.letter}-{letter}" for p, letter in cases])


def opened(parent: ParentCase, **annotations: str) -> tuple[Controller, Stream]:
    """A parent with a watch on it that has had its first message."""
    controller = Controller(*parent.objects(**annotations))
    stream = controller.watch(parent.address())
    stream.update()
    return controller, stream


def default_name(parent: ParentCase) -> str:
    return "(http)" if parent.is_service else "(http-egress-allow)"
