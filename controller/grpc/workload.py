"""Who is asking: the workload token that proxies carry.

Injected proxies send a JSON object (`{"ns":"emojivoto", "pod":"web-0"}` and a newline), old ones `emojivoto:web-0`.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn

import attrs
import msgspec

from controller.core.inbound import WorkloadKind

_KINDS = {"pod": WorkloadKind.POD, "external_workload": WorkloadKind.EXTERNAL_WORKLOAD}


@attrs.frozen
class Workload:
    """A pod or an ExternalWorkload by name."""

    kind: WorkloadKind
    namespace: str
    name: str


def parse_workload(token: str) -> Workload | None:
    """The workload that a token names; `None` for a token that names none."""
    if token.startswith("{"):
        return _parse_json(token)
    namespace, _, name = token.partition(":")
    return Workload(WorkloadKind.POD, namespace, name) if namespace and name else None


def _parse_json(token: str) -> Workload | None:
    pairs = _top_level_pairs(token)
    if pairs is None:
        return None
    namespaces = [value for key, value in pairs if key == "ns"]
    # Of several names the first counts, even if it is no text; of several namespaces none does.
    kind, name = next(((_KINDS[key], value) for key, value in pairs if key in _KINDS), (None, None))
    if kind is None or not isinstance(name, str) or len(namespaces) != 1 or not isinstance(namespaces[0], str):
        return None
    return Workload(kind, namespaces[0], name)


def _top_level_pairs(token: str) -> list[tuple[str, object]] | None:
    """The members of the JSON object in their order, repetitions included."""
    try:
        if "\\u" in token:  # the decoder below lets half a surrogate pair through, which is no text
            msgspec.json.decode(token)
        pairs: list[tuple[str, object]] = _DECODER.decode(token)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None
    return pairs


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is out of range")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=list, parse_constant=_refuse_constant, parse_float=_number, parse_int=_number
)
