"""Answers other than success, worded and coded as a Kubernetes API server does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Json = Any
Object = dict[str, Any]


class GroupResource(NamedTuple):
    """The group and the plural name of a kind: what messages and the store call it by."""

    group: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Cause(NamedTuple):
    """One thing that is wrong with an object, and the field it is wrong at."""

    reason: str
    message: str
    field: str


class Refused(Exception):
    """The request is answered with a `Status` of failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        metadata: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata or {}
        self.headers = headers or {}
        self.warnings: tuple[str, ...] = ()  # what the client is told beside the refusal

    def to_status(self) -> Object:
        """The `Status` object to answer with, or to put into an ERROR event."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def success(resource: GroupResource, name: str, uid: str) -> Object:
    """The `Status` that says an object is gone."""
    details: Object = {"name": name}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.plural, "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _details(resource: GroupResource, name: str) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    if resource.plural:
        details["kind"] = resource.plural
    return details


def not_found(resource: GroupResource, name: str) -> Refused:
    return Refused(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def unknown_path() -> Refused:
    """A resource type or a path that is not served."""
    return Refused(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: GroupResource, name: str, *, generated: bool = False) -> Refused:
    text, details = f'{resource} "{name}" already exists', _details(resource, name)
    if generated:
        text += ", the server was not able to generate a unique name for the object"
        details["retryAfterSeconds"] = 1
    return Refused(409, "AlreadyExists", text, details=details)


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: GroupResource, name: str, message: str = STALE) -> Refused:
    return Refused(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": {message}',
        details=_details(resource, name),
    )


def forbidden(resource: GroupResource, name: str, message: str, causes: Sequence[Cause] = ()) -> Refused:
    details = _details(resource, name)
    if causes:
        details["causes"] = [cause._asdict() for cause in causes]
    subject = f'{resource} "{name}" is forbidden' if name else f"{resource} is forbidden"
    return Refused(403, "Forbidden", f"{subject}: {message}", details=details)


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> Refused:
    """The object breaks rules; every one of them is told."""
    details: Object = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [cause._asdict() for cause in causes]
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    label = f"{kind}.{group}" if group else kind
    return Refused(422, "Invalid", f'{label} "{name}" is invalid: {text}', details=details)


def expired(message: str, *, continue_token: str = "") -> Refused:
    metadata = {"continue": continue_token} if continue_token else None
    return Refused(410, "Expired", message, metadata=metadata)


def too_large(wanted: int, current: int) -> Refused:
    """The revision asked for does not exist yet."""
    return Refused(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {wanted}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        headers={"Retry-After": "1"},
    )


def method_not_allowed() -> Refused:
    return Refused(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def unsupported_media_type(accepted: Sequence[str]) -> Refused:
    return Refused(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted),
    )


def internal(message: str) -> Refused:
    return Refused(
        500, "InternalError", f"Internal error occurred: {message}", details={"causes": [{"message": message}]}
    )


def throttled(seconds: int) -> Refused:
    return Refused(
        429,
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
        details={"retryAfterSeconds": seconds},
        headers={"Retry-After": str(seconds)},
    )
