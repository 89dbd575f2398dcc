"""AdmissionReviews: what the API server asks, and what it is answered.

Reviews are read as strictly as upstream's controller reads them. One that cannot be decoded is not denied: the call has
failed, and the webhook's failure policy decides. So even a part that nobody looks at must have the form that the API
gives it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal, TypeAlias

import attrs
import msgspec

from controller.k8s.meta import ObjectMeta
from controller.k8s.numbers import Int32, Int64, without_negative_zeros

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
MAX_DEPTH = 128

Operation: TypeAlias = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
_Time: TypeAlias = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class Undecodable(ValueError):
    """The body is no review, or one that asks nothing; the text says why."""


# The form


class _Wire(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    pass


class _Kind(_Wire, frozen=True, gc=False):
    group: str
    version: str
    kind: str


class _Resource(_Wire, frozen=True, gc=False):
    group: str
    version: str
    resource: str


class _UserInfo(_Wire, frozen=True, gc=False):
    username: str | None = None
    uid: str | None = None
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class _Owner(_Wire, frozen=True, gc=False):
    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class _Manager(_Wire, frozen=True, gc=False):
    api_version: str | None = None
    fields_type: str | None = None
    manager: str | None = None
    operation: str | None = None
    subresource: str | None = None
    time: _Time | None = None


class _Metadata(_Wire, frozen=True, gc=False):
    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    self_link: str | None = None
    generation: Int64 | None = None
    creation_timestamp: _Time | None = None
    deletion_timestamp: _Time | None = None
    deletion_grace_period_seconds: Int64 | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[_Owner, ...] | None = None
    managed_fields: tuple[_Manager, ...] | None = None

    def to_object_meta(self) -> ObjectMeta:
        return ObjectMeta(
            name=self.name or "",
            namespace=self.namespace or "",
            creation_timestamp=self.creation_timestamp,
            labels=self.labels,
            annotations=self.annotations,
        )


class _Object(_Wire, frozen=True, gc=False):
    metadata: _Metadata = _Metadata()
    # Values, not text: of equal keys only the last counts, and those before it are not to be judged.
    spec: Any = msgspec.UNSET


class _Request(_Wire, frozen=True, gc=False):
    uid: str
    kind: _Kind
    resource: _Resource
    operation: Operation
    user_info: _UserInfo
    sub_resource: str | None = None
    request_kind: _Kind | None = None
    request_resource: _Resource | None = None
    request_sub_resource: str | None = None
    name: str = ""
    namespace: str | None = None
    object: _Object | None = None
    old_object: _Object | None = None
    dry_run: bool = False


class _Status(_Wire, frozen=True, gc=False):
    status: Literal["Success", "Failure"] | None = None
    code: Int32 = 0
    message: str = ""
    reason: str = ""


class _Response(_Wire, frozen=True, gc=False):
    uid: str
    allowed: bool
    status: _Status
    warnings: tuple[str, ...] | None = None
    audit_annotations: dict[str, str] = {}


class _Review(_Wire, frozen=True, gc=False):
    api_version: str
    kind: str
    request: _Request | None = None
    response: _Response | None = None


# What is asked


@attrs.frozen
class Review:
    """A request to judge an object."""

    api_version: str
    review_kind: str
    uid: str
    group: str
    version: str
    kind: str
    operation: Operation
    sub_resource: str | None
    metadata: ObjectMeta
    spec: bytes | None  # JSON; empty: absent; `None`: there is no object

    @property
    def changes_spec(self) -> bool:
        """Whether the object is going to be followed as it is here."""
        return self.operation in ("CREATE", "UPDATE") and not self.sub_resource


_decode_review = msgspec.json.Decoder(_Review).decode


def decode_review(body: bytes) -> Review:
    """Read a review. Raises `Undecodable`."""
    body = without_negative_zeros(body)
    try:
        _check_json(body)
        review = _decode_review(body)
    except (ValueError, RecursionError) as error:
        raise Undecodable(str(error)) from error
    if review.request is None:
        raise Undecodable("the review has no request")
    return _to_review(review, review.request)


def _to_review(review: _Review, request: _Request) -> Review:
    reviewed = request.object
    return Review(
        api_version=review.api_version,
        review_kind=review.kind,
        uid=request.uid,
        group=request.kind.group,
        version=request.kind.version,
        kind=request.kind.kind,
        operation=request.operation,
        sub_resource=request.sub_resource,
        metadata=ObjectMeta() if reviewed is None else reviewed.metadata.to_object_meta(),
        spec=None if reviewed is None else _to_json(reviewed.spec),
    )


def _to_json(spec: object) -> bytes:
    return b"" if spec is msgspec.UNSET else msgspec.json.encode(spec)


class _Key:
    """A key of a JSON object, of which every occurrence is another key of the dictionary."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_members_of = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda _, text: _Key(text)).decode
_decode_anything = msgspec.json.Decoder().decode
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")


def _check_json(body: bytes) -> None:
    """Refuse what a typed decoder lets pass, in parts that it skips: ill-formed text, numbers beyond all bounds, depth.

    Raises `ValueError` or `RecursionError`.
    """
    _decode_anything(body)
    if _depth(body) > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} levels of nesting")
    if sum(key.text == "request" for key in _members_of(body)) > 1:
        raise ValueError("there are several requests")


def _depth(body: bytes) -> int:
    """How deep well-formed JSON is nested, or less than is of interest."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    brackets = _TEXT.sub(b"", body).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0)


# What is answered


def _encode(api_version: str, kind: str, response: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"apiVersion": api_version, "kind": kind, "response": response})


def to_allowed(review: Review, warnings: Sequence[str] = ()) -> bytes:
    response: dict[str, Any] = {"uid": review.uid, "allowed": True, "status": {}}
    if warnings:
        response["warnings"] = warnings
    return _encode(review.api_version, review.review_kind, response)


def to_denied(review: Review, message: str) -> bytes:
    response = {"uid": review.uid, "allowed": False, "status": {"message": message}}
    return _encode(review.api_version, review.review_kind, response)


def to_invalid(message: str) -> bytes:
    """The answer to what cannot be judged: without a uid the API server takes it for a failed call.

    Its HTTP status is 200, as upstream's is; the API server comes to the same result with 400.
    """
    status = {"status": "Failure", "message": message, "reason": "InvalidRequest"}
    return _encode(API_VERSION, KIND, {"uid": "", "allowed": False, "status": status})
