"""Cells of `kubectl get` for custom resources: the JSONPath of a printer column, and what is made of its value."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import msgspec

from controller.apiserver.kinds import Column
from controller.apiserver.schema.node import MISSING
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Object

_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\]\\])+)|\[(?P<index>-?\d+)\]|\['(?P<quoted>(?:\\.|[^'])*)'\]|(?P<all>\[\*\]|\.\*)
    |\[\?\(@\.(?P<field>[^\s=!<>]+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[^)\s]+)\s*\)\]""",
    re.VERBOSE,
)
NAME_TEXT = "Name must be unique within a namespace. Is required when creating resources."
AGE_TEXT = "CreationTimestamp is the server time when this object was created, in RFC 3339 form and UTC."


def parse_path(text: str) -> Callable[[Any], list[Any]]:
    """A function that finds all values at a path; ValueError if the path makes no sense."""
    steps: list[Callable[[Any], list[Any]]] = []
    place = 0
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            raise ValueError(f"unrecognized JSONPath at {text[place:]!r}")
        steps.append(_to_step(found))
        place = found.end()

    def find(value: Any) -> list[Any]:
        values = [value]
        for step in steps:
            values = [inner for outer in values for inner in step(outer)]
        return values

    return find


def _to_step(found: re.Match[str]) -> Callable[[Any], list[Any]]:
    name = found["name"] or found["quoted"]
    if found["all"]:
        return lambda value: list(value.values()) if is_object(value) else value if is_list(value) else []
    if found["index"] is not None:
        index = int(found["index"])
        return lambda value: value[index : index + 1 or None] if is_list(value) else []
    if found["operator"]:
        field, wanted, equal = found["field"], found["value"].strip("\"'"), found["operator"] == "=="
        return lambda value: [
            item
            for item in (value if is_list(value) else [])
            if is_object(item) and (_text(item.get(field)) == wanted) == equal
        ]
    name = re.sub(r"\\(.)", r"\1", name)
    return lambda value: [value[name]] if is_object(value) and name in value else []


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def age(moment: str, now: float) -> str:
    """How long ago something was, as `kubectl get` shows it."""
    try:
        then = dt.datetime.fromisoformat(moment).timestamp()
    except (ValueError, TypeError):
        return "<unknown>"
    return duration(now - then)


def duration(seconds: float) -> str:
    """A length of time in at most two units."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        rest = days % 365
        return f"{days // 365}y{rest}d" if rest else f"{days // 365}y"
    return f"{days // 365}y"


def name_column() -> Column:
    return Column("Name", lambda value, _: value["metadata"]["name"], format="name", description=NAME_TEXT)


def age_column() -> Column:
    return Column(
        "Age", lambda value, now: age(value["metadata"].get("creationTimestamp", ""), now), description=AGE_TEXT
    )


def custom_columns(given: list[Object] | None) -> tuple[Column, ...]:
    """The columns of a custom resource: its name, then those of its definition, or its age."""
    if not given:
        return (
            name_column(),
            Column(
                "Age",
                lambda value, now: age(value["metadata"].get("creationTimestamp", ""), now),
                type="date",
                description="Custom resource definition column (in JSONPath format): .metadata.creationTimestamp",
            ),
        )
    return (name_column(), *(_custom_column(entry) for entry in given))


def _custom_column(entry: Object) -> Column:
    path = entry["jsonPath"]
    find = parse_path(path)
    kind = entry["type"]

    def value(value: Object, now: float) -> Any:
        found = find(value)
        return to_cell(found[0] if found else MISSING, kind, now)

    text = entry.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        entry["name"],
        value,
        type=kind,
        format=entry.get("format", ""),
        priority=entry.get("priority", 0),
        description=text,
    )


def to_cell(value: Any, kind: str, now: float) -> Any:
    """A cell of a column's type; null where the value does not fit it."""
    if value is MISSING or value is None:
        return None
    match kind:
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return age(value, now) if isinstance(value, str) else "<unknown>"
        case _:
            pass
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return _go_json(value)
    return str(value)


def _go_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
