"""What can go wrong when talking to the API server.

One class per thing a caller can *do* about it, not per HTTP status: code that handles these never looks at a number.

* `KubernetesError`
    * `Unavailable`: ask again later
        * `Throttled`: the same, and the server says that it is we who ask too much
    * `Expired`: what we know is too old; list again
    * `AheadOfServer`: what we know is newer than what this server has; wait, or ask without a version
    * `Conflicted`: somebody wrote first; read, then decide again
    * `AlreadyExists`: somebody made it before
    * `Absent`: there is no such object, or no such kind
    * `Unauthenticated`: get fresh credentials
    * `Forbidden`: tell an operator, who has to grant something
    * `Rejected`: the request itself is wrong; send another one
    * `Refused`: asking again will not help, and we do not know what would
    * `Garbled`: the answer is not what the protocol says; its `reason` tells what is wrong with it

Each has a `reason`: a short word for logs and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_BODY_SHOWN = 1024


class StatusCause(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    kind: str = ""
    causes: tuple[StatusCause, ...] | None = None
    retry_after_seconds: int | None = None


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """The API server's own account of what went wrong."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


class KubernetesError(Exception):
    """Something went wrong between us and the API server."""

    reason: str = "error"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        status: Status | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        self.status = status
        self.retry_after = retry_after  # seconds; the least that the server wants us to wait


class Unavailable(KubernetesError):
    """Ask again later."""

    reason = "unavailable"


class Throttled(Unavailable):
    """Ask again later, and not before the server allows it."""

    reason = "throttled"


class Expired(KubernetesError):
    """The version or continue token is too old: list again."""

    reason = "expired"


class AheadOfServer(KubernetesError):
    """The version is newer than anything this server has seen."""

    reason = "too_large_rv"


class Conflicted(KubernetesError):
    """Somebody wrote first: read, then decide again."""

    reason = "conflict"


class AlreadyExists(KubernetesError):
    """An object of that name is there already."""

    reason = "already_exists"


class Absent(KubernetesError):
    """No such object, or no such kind."""

    reason = "not_found"


class Unauthenticated(KubernetesError):
    """The server does not know us (any more): get fresh credentials."""

    reason = "unauthorized"


class Forbidden(KubernetesError):
    """We may not do this: tell an operator."""

    reason = "forbidden"


class Rejected(KubernetesError):
    """The request is wrong: send another one."""

    reason = "invalid"


class Refused(KubernetesError):
    """Asking again will not help."""

    reason = "refused"


class Garbled(KubernetesError):
    """The answer breaks the protocol."""

    reason = "protocol"


_BY_REASON: Mapping[str, type[KubernetesError]] = {
    "Expired": Expired,
    "Gone": Expired,
    "Conflict": Conflicted,
    "AlreadyExists": AlreadyExists,
    "NotFound": Absent,
    "Unauthorized": Unauthenticated,
    "Forbidden": Forbidden,
    "TooManyRequests": Throttled,
    "Invalid": Rejected,
    "BadRequest": Rejected,
    "InternalError": Unavailable,
    "ServiceUnavailable": Unavailable,
    "Timeout": Unavailable,
    "ServerTimeout": Unavailable,
}
_BY_CODE: Mapping[int, type[KubernetesError]] = {
    400: Rejected,
    401: Unauthenticated,
    403: Forbidden,
    404: Absent,
    408: Unavailable,
    409: Conflicted,
    410: Expired,
    422: Rejected,
    429: Throttled,
}
_TOO_LARGE_CAUSE = "ResourceVersionTooLarge"
_TOO_LARGE_PHRASE = "Too large resource version"

_status_decoder = msgspec.json.Decoder(Status)


def parse_status(body: bytes, code: int) -> Status:
    """Read the body of an error; one that is no Status becomes a Status that quotes it."""
    try:
        status = _status_decoder.decode(body)
    except msgspec.DecodeError:
        status = None
    if status is not None and status.kind == "Status":
        return status if status.code else msgspec.structs.replace(status, code=code)
    text = body[:_BODY_SHOWN].decode("utf-8", "replace").strip()
    return Status(kind="Status", message=text or f"HTTP status {code} without a body", code=code)


def from_status(status: Status, *, doing: str, retry_after: float | None = None) -> KubernetesError:
    """Return the error that a Status stands for; `doing` says what was asked, as in `list pods`."""
    if retry_after is None and status.details is not None and status.details.retry_after_seconds:
        retry_after = float(status.details.retry_after_seconds)
    text = f"{doing}: {status.message or status.reason or 'no message'} ({status.code})"
    return _class_of(status)(text, status=status, retry_after=retry_after)


def _class_of(status: Status) -> type[KubernetesError]:
    if _is_too_large(status):
        return AheadOfServer
    by_reason = _BY_REASON.get(status.reason)
    if by_reason is not None:
        return by_reason
    return _BY_CODE.get(status.code, Unavailable if status.code >= 500 else Refused)


def _is_too_large(status: Status) -> bool:
    causes = () if status.details is None else status.details.causes or ()
    if any(cause.reason == _TOO_LARGE_CAUSE for cause in causes):
        return True
    if status.reason != "Timeout" and status.code != 504:
        return False
    return _TOO_LARGE_PHRASE in status.message or any(_TOO_LARGE_PHRASE in cause.message for cause in causes)


def parse_retry_after(value: str | None, *, seconds_until: float | None = None) -> float | None:
    """Read a Retry-After header in seconds; for one that is a date, `seconds_until` says how far off it is."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    return None if seconds_until is None else max(0.0, seconds_until)
