"""Sentences about one wrong field, in the wording of the API server's field errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from controller.apiserver.status import Cause


def quoted(value: Any) -> str:
    """A value as messages show it."""
    return msgspec.json.encode(value).decode()


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {detail}", field)


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: {detail}", field)


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", field)


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", field)


def not_supported(field: str, value: Any, allowed: Iterable[Any]) -> Cause:
    supported = ", ".join(quoted(str(entry)) for entry in allowed)
    return Cause("FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {supported}", field)


def too_long(field: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} byte{'s' * (limit != 1)}", field)


def too_many(field: str, found: int, limit: int) -> Cause:
    unit = "item" if limit == 1 else "items"
    return Cause("FieldValueTooMany", f"Too many: {found}: must have at most {limit} {unit}", field)


def immutable(field: str, value: Any) -> Cause:
    return invalid_value(field, value, "field is immutable")
