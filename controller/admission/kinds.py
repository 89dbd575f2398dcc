"""Which kinds are reviewed, and how their specs are read: a row per kind.

The version that a review names does not matter: every version is read as the one that the index reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from controller.admission.findings import Finding
from controller.admission.rules import RULES
from controller.k8s.custom_resource import CustomResource
from controller.k8s.meta import ObjectMeta, Resource
from controller.k8s.policy import Server, decode_server_spec
from controller.k8s.references import POLICY_GROUP

_WHERE = re.compile(r"(?P<message>.*) - at `\$(?P<path>.*)`", re.DOTALL)


@attrs.frozen
class Undecodable(Exception):
    """A spec is not of its kind's form; the finding says where."""

    finding: Finding


@attrs.frozen
class ReviewedKind:
    """One kind.

    Linkerd's own are read strictly. Kinds of the Gateway API belong to others too, who may know forms that we do not;
    so what cannot be read is let through.
    """

    model: type[Resource]
    group: str
    kind: str
    decode_spec: Callable[[bytes], Any]

    @property
    def strict(self) -> bool:
        return self.group == POLICY_GROUP

    def decode(self, metadata: ObjectMeta, spec: bytes | None) -> Resource:
        """Read a resource. The spec is empty if absent, and `None` if there is no object. Raises `Undecodable`."""
        if spec is None:
            raise Undecodable(Finding("object", "must be set"))
        if not spec:
            raise Undecodable(Finding("spec", "must be set"))
        try:
            return self.model(metadata=metadata, spec=self.decode_spec(spec))  # type: ignore[call-arg]  # every reviewed kind has one
        except msgspec.DecodeError as error:
            raise Undecodable(_finding(str(error))) from error


def _finding(text: str) -> Finding:
    """What msgspec complains of, with the path in front."""
    match = _WHERE.fullmatch(text)
    return Finding(f"spec{match['path']}", match["message"]) if match else Finding("spec", text)


def _kind_of(model: type[Resource]) -> ReviewedKind:
    assert issubclass(model, CustomResource)
    described = model.resource_type()
    return ReviewedKind(model, described.group, described.kind, _SPEC_DECODERS.get(model) or _spec_decoder(model))


_SPEC_DECODERS: dict[type[Resource], Callable[[bytes], Any]] = {Server: decode_server_spec}


def _spec_decoder(model: type[Resource]) -> Callable[[bytes], Any]:
    spec = next(field.type for field in msgspec.structs.fields(model) if field.name == "spec")
    return msgspec.json.Decoder(spec).decode


_KINDS = {(kind.group.lower(), kind.kind.lower()): kind for kind in map(_kind_of, RULES)}


def find_kind(group: str, kind: str) -> ReviewedKind | None:
    """The row for a kind, in whatever case it is spelled."""
    return _KINDS.get((group.lower(), kind.lower()))
