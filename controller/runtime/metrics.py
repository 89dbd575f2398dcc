"""The process's metrics: one registry, and its text in the form that the asker can read."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
from prometheus_client import exposition as text
from prometheus_client.openmetrics import exposition as openmetrics

from controller.runtime.process_metrics import ProcessCollector

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

_FORMS: dict[str, Callable[[CollectorRegistry], bytes]] = {
    OPENMETRICS: openmetrics.generate_latest,  # pyright: ignore[reportUnknownMemberType]  # untyped
    TEXT: text.generate_latest,
}


def new_registry() -> CollectorRegistry:
    """Return a registry that knows the process and the interpreter; the parts of the controller add their own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProcessCollector())
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def choose_form(accept: str) -> str:
    """Return the content type for an Accept header: OpenMetrics for whoever lists it, else the older text."""
    accepted = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
    return OPENMETRICS if "application/openmetrics-text" in accepted else TEXT


def render(registry: CollectorRegistry, form: str) -> bytes:
    """Return the registry's exposition in one of the two forms."""
    return _FORMS[form](registry)
