"""The items of a list while it is still arriving.

A list of thousands of objects is tens of megabytes. Read as a whole, it would have to be kept as a whole, and would
hold the loop up for as long as it takes to find the ends of its items. So what has arrived is cut where one item ends
and another begins.

Such a place can be recognised by its text alone: a quotation mark inside of a JSON string is escaped, so the text is
no part of a string; and if what lies between two cuts reads as a sequence of values, then both are between items and
not somewhere inside of one, for otherwise a bracket would lack its partner. A list that is written in a way that we do
not recognise is read as a whole.
"""

from __future__ import annotations

import attrs
import msgspec

from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType
from controller.runtime.decode import ListBody, decode_items, decode_page

_ITEMS = b'"items":['
_MAX_HEAD = 64 << 10
_MISSES = 3  # places that turned out to be inside of an item, after which we stop looking for others
SEGMENT = 256 << 10  # bytes that are worth a cut: about a millisecond's work


@attrs.define(eq=False)
class ListReader:
    """Takes in a list in chunks. Raises `Garbled` if it is none of the kind."""

    _resource_type: ResourceType[Resource]
    _segment: int = SEGMENT
    _separators: tuple[bytes, ...] = attrs.field(init=False)
    _head: bytes | None = attrs.field(default=None, init=False)  # everything up to the first item
    _rest: bytearray = attrs.field(factory=bytearray, init=False)  # what no cut has taken away
    _searched: int = attrs.field(default=0, init=False)  # bytes of it that hold no place to cut at
    _misses: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        kind, api_version = self._resource_type.kind, self._resource_type.api_version
        self._separators = (
            b'},{"metadata":{"name":"',
            f'}},{{"apiVersion":"{api_version}","kind":"{kind}",'.encode(),
            f'}},{{"kind":"{kind}","apiVersion":"{api_version}",'.encode(),
        )

    def feed(self, chunk: bytes) -> tuple[msgspec.Raw, ...]:
        """Take in a chunk, and return the items that are complete, if it is worth the while."""
        self._rest += chunk
        if self._misses >= _MISSES or len(self._rest) < self._segment:
            return ()
        if self._head is None and not self._find_head():
            return ()
        return self._cut()

    def end(self) -> ListBody:
        """Return the list, with those items that have not been returned before."""
        return decode_page((self._head or b"") + self._rest, self._resource_type)

    def _find_head(self) -> bool:
        start = self._rest.find(_ITEMS, 0, _MAX_HEAD)
        if start < 0:
            if len(self._rest) >= _MAX_HEAD:
                self._misses = _MISSES
            return False
        start += len(_ITEMS)
        self._head = bytes(self._rest[:start])
        if b'"kind":' in self._head:  # else it comes after the items
            decode_page(self._head + b"]}", self._resource_type)
        del self._rest[:start]
        return True

    def _find_place(self) -> int:
        for number, separator in enumerate(self._separators):
            place = self._rest.rfind(separator, self._searched)
            if place >= 0:
                if number:  # a server keeps to one form, so that one is looked for first from now on
                    others = self._separators[:number] + self._separators[number + 1 :]
                    self._separators = (separator, *others)
                return place
        return -1

    def _cut(self) -> tuple[msgspec.Raw, ...]:
        place = self._find_place()
        if place < 0:
            self._searched = max(self._searched, len(self._rest) - max(map(len, self._separators)))
            return ()
        # Without the comma: `place` is at the bracket that closes an item.
        items = decode_items(b"[" + self._rest[: place + 1] + b"]")
        if items is None:
            self._misses += 1
            self._searched = place + 1
            return ()
        del self._rest[: place + 2]
        self._searched = 0
        return items
