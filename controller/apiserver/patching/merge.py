"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch

from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Refused, bad_request

_MOST_OPERATIONS = 10_000


def merge_patch(value: Any, patch: Any) -> Any:
    """Fields of the patch replace those of the value, null removes them."""
    if not is_object(patch):
        return patch
    found = dict(value) if is_object(value) else {}
    for name, inner in patch.items():
        if inner is None:
            found.pop(name, None)
        else:
            found[name] = merge_patch(found.get(name), inner)
    return found


def json_patch(value: Any, operations: Any) -> Any:
    """Apply operations in order; if one of them does not fit, nothing happens."""
    if not is_list(operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    if len(operations) > _MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(operations)}"
        raise Refused(413, "RequestEntityTooLarge", text)
    try:
        return jsonpatch.apply_patch(copy.deepcopy(value), operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError):
        text = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", text, details={}) from None
