"""Items come out one by one, wherever the chunks are cut and however the list is written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.errors import Garbled
from controller.runtime.list_reader import ListReader
from tests.unit.runtime.support import WIDGETS, widget


def written(items: list[dict[str, Any]], style: str) -> bytes:
    """A list as a server of some sort writes it."""
    compact = (",", ":")
    bare = [{name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": "7", "continue": "next"}
    match style:
        case "typed":  # built-in kinds
            body = {"kind": "WidgetList", "apiVersion": "example.com/v1", "metadata": metadata, "items": bare}
            return json.dumps(body, separators=compact).encode() + b"\n"
        case "untyped":  # custom resources
            body = {"apiVersion": "example.com/v1", "items": items, "kind": "WidgetList", "metadata": metadata}
            return json.dumps(body, separators=compact).encode() + b"\n"
        case "kind first":
            turned = [{"kind": item["kind"], **item} for item in items]
            body = {"kind": "WidgetList", "metadata": metadata, "items": turned}
            return json.dumps(body, separators=compact).encode()
        case _:
            body = {"metadata": metadata, "items": items, "kind": "WidgetList"}
            return json.dumps(body, indent=1).encode()


def read(body: bytes, size: int, *, segment: int = 1) -> tuple[list[Any], str, str, int]:
    """Return the items, version and token, and how many of the items came before the end."""
    reader = ListReader(WIDGETS, segment)
    early = [item for start in range(0, len(body), size) for item in reader.feed(body[start : start + size])]
    end = reader.end()
    items = [msgspec.json.decode(item) for item in (*early, *(end.items or ()))]
    return items, end.metadata.resource_version, end.metadata.continue_, len(early)


def names(items: list[Any]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


STYLES = ["typed", "untyped", "kind first", "pretty"]
TRAP = '},{"metadata":{"name":"'  # how an item begins, as text
NESTED: list[Any] = [
    {"x": 1},
    {"metadata": {"name": "inner"}},
    {"apiVersion": "example.com/v1", "kind": "Widget", "a": 1},
]


# runtime W1
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [1, 3, 50, 100_000])
def test_every_style(style: str, size: int) -> None:
    """The same items come out, in order; those of real servers come before the end of the list."""
    items = [widget(f"w{number}") for number in range(20)]
    found, version, token, early = read(written(items, style), size)
    assert (names(found), version, token) == (names(items), "7", "next")
    if style != "pretty":
        assert early == 19


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few(style: str, count: int) -> None:
    """Short and empty lists are lists."""
    items = [widget(f"w{number}") for number in range(count)]
    assert names(read(written(items, style), 10)[0]) == names(items)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_items_that_look_like_others(style: str, size: int) -> None:
    """Text and nested objects that look like the beginning of an item are inside of theirs."""
    items = [
        widget("a", annotations={"x": TRAP, "y": '"items":['}),
        widget("b") | {"status": NESTED},
        widget("c") | {"status": {"deep": [NESTED, NESTED]}},
        *(widget(f"w{number}") for number in range(5)),
    ]
    found, version, _, _ = read(written(items, style), size)
    assert (names(found), version) == (names(items), "7")
    assert found[1]["status"] == NESTED


def test_a_trap_is_passed_by() -> None:
    """One place that was inside of an item does not keep those behind it from being found."""
    items = [widget("trap") | {"status": NESTED[:2]}, *(widget(f"w{number}") for number in range(20))]
    found, _, _, early = read(written(items, "typed"), 1)
    assert names(found) == names(items)
    assert early == 20


def test_many_traps_make_it_stop_trying() -> None:
    """A list in which nearly every place is a trap is read as a whole."""
    items = [widget(f"w{number}") | {"status": NESTED * 50} for number in range(20)]
    found, _, _, early = read(written(items, "typed"), 64)
    assert names(found) == names(items)
    assert early < 19


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", TRAP, '"items":[', "]}", "\\", '"']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "name", "items", "kind", TRAP]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    bodies=st.lists(json_values, max_size=6),
    style=st.sampled_from(STYLES),
    size=st.integers(1, 200),
    segment=st.sampled_from([1, 100, 1000]),
)
def test_nothing_is_lost_or_torn(bodies: list[Any], style: str, size: int, segment: int) -> None:
    """Whatever the items hold and wherever the chunks end, the list is the one that was written."""
    items = [widget(f"w{number}") | {"status": body} for number, body in enumerate(bodies)]
    found, version, token, _ = read(written(items, style), size, segment=segment)
    assert [item["status"] for item in found] == bodies
    assert (names(found), version, token) == (names(items), "7", "next")


# runtime W7
@pytest.mark.parametrize("segment", [1, 1 << 20])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"kind":"GadgetList","metadata":{},"items":[' + b'{"metadata":{"name":"a"}},' * 5 + b"1]}", "protocol"),
        (b'{"items":[' + b'{"metadata":{"name":"a"}},' * 5 + b'1],"kind":"Table"}', "protocol"),
        (written([widget("a"), widget("b"), widget("c")], "typed")[:-4], "decode"),
        (written([widget("a"), widget("b")], "typed").replace(b'"size":1', b'"size":', 1), "decode"),
        (b'{"kind":"WidgetList",,"items":[{"metadata":{"name":"a"}}]}', "decode"),
        (b"<html>" * 100, "decode"),
        (b"", "decode"),
    ],
)
def test_what_is_no_list(body: bytes, reason: str, segment: int) -> None:
    """A list of another kind, half a list and no list at all are said to be what they are."""
    with pytest.raises(Garbled) as caught:
        read(body, 10, segment=segment)
    assert caught.value.reason == reason


def test_another_kind_is_noticed_before_its_items() -> None:
    """Where the kind comes first, no item of another one is ever returned."""
    reader = ListReader(WIDGETS, 1)
    with pytest.raises(Garbled):
        reader.feed(b'{"kind":"Table","metadata":{},"items":[')
