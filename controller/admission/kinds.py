"""Which kinds are reviewed, and how their specs are read: a row per kind.

The version that a review names does not matter: every version is read as the one that the index reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from controller.admission.complaints import finding_of
from controller.admission.findings import Finding
from controller.admission.rules import RULES
from controller.index.parse.parents import parse_kind
from controller.k8s.custom_resource import CustomResource
from controller.k8s.meta import ObjectMeta, Resource
from controller.k8s.policy import Server, decode_server_spec
from controller.k8s.references import POLICY_GROUP, group_key


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
    spec_type: Any
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
            raise Undecodable(finding_of(error, self.spec_type)) from error


# Specs that are read otherwise than by their type alone.
_DECODERS: Mapping[type[Resource], Callable[[bytes], Any]] = {Server: decode_server_spec}


def _kind_of(model: type[Resource]) -> ReviewedKind:
    assert issubclass(model, CustomResource)
    described = model.resource_type()
    spec = next(field.type for field in msgspec.structs.fields(model) if field.name == "spec")
    decode = _DECODERS.get(model) or msgspec.json.Decoder(spec).decode
    return ReviewedKind(model, described.group, described.kind, spec, decode)


_KINDS = {(kind.group.lower(), kind.kind.lower()): kind for kind in map(_kind_of, RULES)}


def find_kind(group: str, kind: str) -> ReviewedKind | None:
    """The row for a kind, in whatever case it is spelled."""
    return _KINDS.get((group.lower(), kind.lower()))


class _Ref(msgspec.Struct, gc=False):
    group: str | None = None
    kind: str | None = None


class _Attached(msgspec.Struct, gc=False, rename="camel"):
    parent_refs: tuple[_Ref, ...] | None = None


_decode_attached = msgspec.json.Decoder(_Attached).decode


def names_ours(spec: bytes | None) -> bool:
    """Whether a spec that could not be read is of a route for a Service, an EgressNetwork or a Server."""
    try:
        refs = _decode_attached(spec or b"{}").parent_refs or ()
    except msgspec.DecodeError:
        return False
    return any(parse_kind(ref.group, ref.kind) is not None or _is_server(ref) for ref in refs)


def _is_server(ref: _Ref) -> bool:
    return ref.kind is not None and ref.kind.lower() == "server" and group_key(ref.group) == POLICY_GROUP
