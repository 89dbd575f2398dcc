"""What msgspec has against a value, in the words of those who write manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from controller.admission.findings import Finding

_COMPLAINT = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[[^\]]*\]")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number with a fraction or an exponent",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")


def finding_of(error: msgspec.DecodeError, spec_type: Any) -> Finding:
    """Say what is wrong with a spec of this type, and where."""
    match = _COMPLAINT.fullmatch(str(error))
    assert match is not None  # it matches anything
    message, path = match["message"], match["path"] or ""
    if missing := _MISSING.fullmatch(message):
        return Finding(f"spec{path}.{missing[1]}", "must be set")
    if message.startswith("Invalid enum value "):
        value = message.removeprefix("Invalid enum value ")
        return Finding(f"spec{path}", f"{value} is not one of {', '.join(_values_at(spec_type, path))}")
    return Finding(f"spec{path}", _TYPES.sub(_in_words, message))


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(word, word) for word in match[1].split(" | ") if word != "null" or match[1] == "null")


def _values_at(spec_type: Any, path: str) -> Iterator[str]:
    """The texts that may stand there."""
    found = [inspect.type_info(spec_type)]
    for step in _STEP.finditer(path):
        found = [inner for each in found for inner in _inside(each, step[1])]
    for each in found:
        for alternative in _alternatives(each):
            if isinstance(alternative, inspect.LiteralType):
                yield from map(str, alternative.values)


def _inside(outer: inspect.Type, field: str | None) -> Iterator[inspect.Type]:
    """What a field of a type, or whatever is in it, may be."""
    for alternative in _alternatives(outer):
        if isinstance(alternative, inspect.StructType):
            yield from (each.type for each in alternative.fields if each.encode_name == field)
        elif isinstance(alternative, inspect.VarTupleType):
            yield alternative.item_type
        elif isinstance(alternative, inspect.DictType):
            yield alternative.value_type


def _alternatives(outer: inspect.Type) -> Iterator[inspect.Type]:
    match outer:
        case inspect.UnionType(types):
            for each in types:
                yield from _alternatives(each)
        case inspect.Metadata(inner):
            yield from _alternatives(inner)
        case _:
            yield outer
