"""What msgspec says, in other words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from controller.admission.complaints import finding_of


class Inner(msgspec.Struct, rename="camel"):
    some_mode: Literal["a", "b"] | None = None
    number: Annotated[int, msgspec.Meta(ge=1)] = 1


class Spec(msgspec.Struct):
    items: Annotated[tuple[Inner, ...], msgspec.Meta(max_length=3)] = ()
    named: dict[str, Inner] = {}
    level: Annotated[Literal[1, 2], msgspec.Meta(description="x")] = 1
    label: str = ""
    required: msgspec.UnsetType | Inner = msgspec.UNSET


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (b'{"items": [{}, {"someMode": "c"}]}', "spec.items[1].someMode: 'c' is not one of a, b"),
        (b'{"items": [{"number": 0}]}', "spec.items[0].number: Expected an integer >= 1"),
        (b'{"items": [{"number": true}]}', "spec.items[0].number: Expected an integer, got true or false"),
        (b'{"items": [{"someMode": 1}]}', "spec.items[0].someMode: Expected a string, got an integer"),
        (b'{"items": {}}', "spec.items: Expected a list, got an object"),
        (b'{"level": 3}', "spec.level: 3 is not one of 1, 2"),
        (b'{"label": null}', "spec.label: Expected a string, got null"),
        (b'{"label": 1.5}', "spec.label: Expected a string, got a number with a fraction or an exponent"),
        (b'{"named": {"x": {"someMode": "c"}}}', "spec.named[...].someMode: 'c' is not one of a, b"),
        (b"[]", "spec: Expected an object, got a list"),
        (b"{", "spec: Input data was truncated"),
    ],
)
def test_complaints_name_the_field_and_what_it_may_be(text: bytes, finding: str) -> None:
    """No word of Python's, no path of msgspec's."""
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(text, type=Spec)

    assert str(finding_of(caught.value, Spec)) == finding


def test_a_missing_field_is_named_as_if_it_were_there() -> None:
    """The path leads to where it belongs."""

    class Outer(msgspec.Struct):
        inner: Any

    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(b"{}", type=Outer)

    assert str(finding_of(caught.value, Outer)) == "spec.inner: must be set"
