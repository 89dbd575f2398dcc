"""Objects are read one by one, and a bad one says as much about itself as it can."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest

from controller.runtime.decode import Bookmark, Changed, Decoder, Failed, Skipped, Undecodable
from controller.runtime.errors import Garbled
from tests.unit.runtime.support import WIDGETS, Widget, WidgetSpec, bookmark, line, page, status, widget


@pytest.fixture
def decoder() -> Decoder[Widget]:
    return Decoder(WIDGETS)


# runtime W9
@pytest.mark.parametrize("change", ["ADDED", "MODIFIED", "DELETED"])
def test_a_change(decoder: Decoder[Widget], change: str) -> None:
    """A change carries the typed object."""
    read = decoder.line(line(change, widget("a", version="7", size=3)))
    assert isinstance(read, Changed)
    assert (read.type, read.object.metadata.name, read.object.spec) == (change, "a", WidgetSpec(3))


def test_any_order_of_fields(decoder: Decoder[Widget]) -> None:
    """No order of fields is needed, and none makes a difference."""
    resource = widget("a", version="7")
    usual = decoder.line(line("ADDED", resource))
    turned = msgspec.json.encode({"object": dict(reversed(resource.items())), "type": "ADDED"})
    assert decoder.line(turned) == usual


def test_unknown_fields_are_nothing(decoder: Decoder[Widget]) -> None:
    """Fields that we do not know harm nobody."""
    resource = widget("a") | {"status": {"any": ["thing"]}}
    assert isinstance(decoder.line(line("ADDED", resource)), Changed)


# runtime W10, W30
def test_bookmarks(decoder: Decoder[Widget]) -> None:
    """A bookmark is a version; it closes a streamed list only if its annotation says exactly so."""
    assert decoder.line(bookmark("9")) == Bookmark("9")
    assert decoder.line(bookmark("9", **{"k8s.io/initial-events-end": "true"})) == Bookmark("9", True)
    assert decoder.line(bookmark("9", **{"k8s.io/initial-events-end": "false"})) == Bookmark("9", False)


def test_errors(decoder: Decoder[Widget]) -> None:
    """An ERROR carries the server's Status, or what stands in its place."""
    read = decoder.line(line("ERROR", status(410, "Expired", "too old")))
    assert isinstance(read, Failed)
    assert (read.status.code, read.status.reason, read.status.message) == (410, "Expired", "too old")
    odd = decoder.line(line("ERROR", {"odd": 1}))
    assert isinstance(odd, Failed)
    assert odd.status.message == '{"odd":1}'


# runtime W22
@pytest.mark.parametrize(
    "resource",
    [
        widget("a") | {"kind": "Gadget"},
        widget("a") | {"apiVersion": "example.com/v2"},
        {name: value for name, value in widget("a").items() if name != "kind"},
        {"kind": "Widget", "apiVersion": "example.com/v1"},
        {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "4"}},
        17,
    ],
)
def test_what_is_not_of_the_kind_is_skipped(decoder: Decoder[Widget], resource: Any) -> None:
    """Another kind, another version, and things without metadata say nothing to us."""
    assert isinstance(decoder.line(line("ADDED", resource)), Skipped)


def test_unknown_types_are_skipped(decoder: Decoder[Widget]) -> None:
    """A verb newer than we are is no reason to stop."""
    # runtime W22
    assert decoder.line(line("RENAMED", widget("a"))) == Skipped("unknown type 'RENAMED'")


# runtime W22
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "decode"),
        (b"not json", "decode"),
        (b"[]", "decode"),
        (b"{}", "decode"),
        (b'{"type":"ADDED"}', "decode"),
        (b'{"object":{}}', "decode"),
        (b'{"type":"\xff","object":{}}', "decode"),
        (line("ADDED", widget("a", version="")), "no_rv"),
        (line("BOOKMARK", {"metadata": {}}), "no_rv"),
        (line("BOOKMARK", 4), "no_rv"),
    ],
)
def test_lines_after_which_nothing_can_be_trusted(decoder: Decoder[Widget], raw: bytes, reason: str) -> None:
    """Garbage, and objects from which we cannot go on, end the watch."""
    with pytest.raises(Garbled) as caught:
        decoder.line(raw)
    assert caught.value.reason == reason


# runtime I19
@pytest.mark.parametrize("change", ["ADDED", "DELETED"])
def test_a_body_that_cannot_be_read(decoder: Decoder[Widget], change: str) -> None:
    """Of an object with a bad body, the metadata remain."""
    read = decoder.line(line(change, widget("a", version="8", size="big")))
    assert isinstance(read, Undecodable)
    assert (read.type, read.metadata.key, read.metadata.resource_version) == (change, ("ns", "a"), "8")
    assert "$.spec.size" in read.error


def test_metadata_that_cannot_be_read(decoder: Decoder[Widget]) -> None:
    """Even of an object with bad labels, name and version remain."""
    read = decoder.line(line("ADDED", widget("a", version="8", labels={"a": 1})))
    assert isinstance(read, Undecodable)
    assert (read.metadata.key, read.metadata.uid, read.metadata.resource_version) == (("ns", "a"), "uid-a", "8")


def test_text_that_is_no_utf8(decoder: Decoder[Widget]) -> None:
    """A body with broken text harms only its own object."""
    raw = line("ADDED", widget("a", version="8", labels={"a": "@"})).replace(b"@", b"\xff")
    assert isinstance(decoder.line(raw), Undecodable)


@pytest.mark.parametrize("depth", [900, 2_000, 10_000])
def test_deep_documents(decoder: Decoder[Widget], depth: int) -> None:
    """An object may be nested as deeply as API servers allow, in lines and in lists."""
    deep = b'"status":' + b'{"a":' * depth + b"1" + b"}" * depth + b',"spec"'
    limit = sys.getrecursionlimit()
    assert isinstance(decoder.line(line("ADDED", widget("a")).replace(b'"spec"', deep)), Changed)
    body = decoder.page(page(widget("a"), widget("b")).replace(b'"spec"', deep, 1))
    assert [item.metadata.name for item in decoder.items(body.items or ())] == ["a", "b"]  # type: ignore[union-attr]
    assert sys.getrecursionlimit() == limit


def test_deeper_than_anything(decoder: Decoder[Widget]) -> None:
    """A line that no API server would let in is garbage, and the process lives on."""
    with pytest.raises(Garbled):
        decoder.line(b'{"type":"ADDED","object":' + b"[" * 100_000)


def test_a_page(decoder: Decoder[Widget]) -> None:
    """A page has a version, perhaps a token, and items that need neither kind nor version."""
    # runtime W1
    read = decoder.page(page(widget("a"), widget("b", size="bad"), version="12", continue_="next"))
    assert (read.metadata.resource_version, read.metadata.continue_) == ("12", "next")
    first, second = decoder.items(read.items or ())
    assert isinstance(first, Widget)
    assert isinstance(second, Undecodable)
    assert second.metadata.key == ("ns", "b")


def test_a_page_without_items(decoder: Decoder[Widget]) -> None:
    """An empty list may come as null."""
    assert decoder.page(b'{"kind":"WidgetList","metadata":{"resourceVersion":"1"},"items":null}').items is None


def test_an_item_that_is_nothing(decoder: Decoder[Widget]) -> None:
    """An item without metadata is passed over, alone."""
    body = decoder.page(b'{"kind":"WidgetList","metadata":{},"items":[1,{"metadata":{"name":"a"}}]}')
    first, second = decoder.items(body.items or ())
    assert isinstance(first, Skipped)
    assert isinstance(second, Widget)


# runtime W7
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "decode"),
        (b"<html>", "decode"),
        (b'{"kind":"WidgetList","items":[', "decode"),
        (b"\xff", "decode"),
        (page(kind="Table"), "protocol"),
        (page(kind="GadgetList"), "protocol"),
        (b"{}", "protocol"),
    ],
)
def test_what_is_no_list(decoder: Decoder[Widget], body: bytes, reason: str) -> None:
    """A list of another kind, a table, and half a page are no lists."""
    with pytest.raises(Garbled) as caught:
        decoder.page(body)
    assert caught.value.reason == reason
