"""What a CRD is made of: JSON."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
JsonObject: TypeAlias = dict[str, Json]


class SchemaError(Exception):
    """A class that cannot become a CRD; the message says where in it, and why."""
