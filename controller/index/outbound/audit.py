"""Whether what is told is what a fresh look at everything gives.

The law that history does not matter is held by tests; this looks whether it held in production. It trusts no reverse
index: routes are found by going through all of them, and nothing that was compared before is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from controller.core.outbound import OutboundTarget
from controller.index.outbound.entries import Entry, PortKey, WatchedTarget
from controller.index.outbound.routes import AttachedRoute
from controller.index.outbound.world import OutboundWorld
from controller.index.parse.parents import ParentKey


def audit(
    namespace: str,
    world: OutboundWorld,
    entries: Mapping[ParentKey, Mapping[int, Entry]],
    loose: Iterable[WatchedTarget],
) -> Iterator[OutboundTarget]:
    """The watched targets that are told something else than they should be: ports of a namespace, and `loose` ones."""
    every = tuple(world.every_route())
    for parent, ports in entries.items():
        if parent.namespace == namespace:
            attached = [route for route in every if any(at.parent == parent for at in route.attachments)]
            for entry in ports.values():
                yield from _audit_entry(entry, world, attached)
    for watched in loose:
        if not watched.stays(world.place(watched.target)):
            yield watched.target


def _audit_entry(entry: Entry, world: OutboundWorld, attached: list[AttachedRoute]) -> Iterator[OutboundTarget]:
    here = [route for route in attached if any(_is_at(at.port, entry.key, at.parent) for at in route.attachments)]
    yield from entry.misinformed(world.state(entry.key), sorted(here, key=lambda route: route.order))


def _is_at(port: int | None, key: PortKey, parent: ParentKey) -> bool:
    return parent == key.parent and port in (None, key.port)
