"""What a request asks for, and what it is answered with, before and after HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import attrs
import msgspec

from controller.apiserver.status import Refused, bad_request

JSON = "application/json"
YAML = "application/yaml"


@attrs.frozen(kw_only=True)
class Request:
    """An HTTP request, as much as the API looks at; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict[str, str])
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""

    def flag(self, name: str) -> bool:
        """A boolean parameter, as the API server reads it: present and empty means true."""
        value = self.query.get(name)
        return value is not None and value.lower() not in ("false", "0", "f")

    def number(self, name: str) -> int | None:
        value = self.query.get(name)
        if value is None or value == "":
            return None
        try:
            return int(value)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None

    @property
    def manager(self) -> str:
        """Who owns the fields this request writes."""
        given = self.query.get("fieldManager", "")
        return given or self.headers.get("user-agent", "unknown").partition("/")[0] or "unknown"


def parse_query(text: str) -> dict[str, str]:
    """Parameters by name; of a repeated one the first counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, value)
    return found


@attrs.frozen
class Response:
    """A complete answer."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    warnings: tuple[str, ...] = ()


def respond(value: Any, status: int = 200, *, warnings: tuple[str, ...] = ()) -> Response:
    return Response(status, msgspec.json.encode(value), warnings=warnings)


def refuse(refused: Refused) -> Response:
    body = msgspec.json.encode(refused.to_status())
    return Response(refused.code, body, headers=refused.headers, warnings=refused.warnings)


NOT_FOUND = Response(404, b"404 page not found\n", media_type="text/plain; charset=utf-8")


@attrs.frozen(kw_only=True)
class Place:
    """What a path points at."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_place(path: str) -> Place | None:
    """Take `/api/v1/...` or `/apis/GROUP/VERSION/...` apart; None for any other path."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if rest[0] == "watch":  # the old spelling of a watch
        rest = rest[1:]
    namespace = ""
    # `namespaces/x` and `namespaces/x/status` are about a Namespace, anything longer is about what is in it.
    inside = len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize")
    if inside or (group and len(rest) > 2 and rest[0] == "namespaces"):
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Place(group=group, version=version, plural=plural, namespace=namespace, name=name, subresource=subresource)


@attrs.frozen(kw_only=True)
class Accept:
    """How the client wants objects: whole, as a table, or their metadata; as JSON or YAML."""

    form: Literal["object", "table", "metadata", "metadata list"] = "object"
    version: str = "v1"
    media_type: str = JSON


_FORMS: Mapping[str, Literal["table", "metadata", "metadata list"]] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata list",
}
_ACCEPTED = f"{JSON}, {YAML}"


def parse_accept(text: str) -> Accept:
    """The first of the wanted forms that can be served."""
    wanted = [part.strip() for part in text.split(",") if part.strip()] or [JSON]
    known = False
    for entry in wanted:
        name, *parameters = (part.strip() for part in entry.split(";"))
        options = {key: value for key, _, value in (part.partition("=") for part in parameters)}
        if name in ("*/*", "application/*"):
            name = JSON
        if name not in (JSON, YAML):
            continue
        known = True
        form = options.get("as")
        if form is None:
            return Accept(media_type=name)
        version = options.get("v", "")
        if form in _FORMS and options.get("g") == "meta.k8s.io" and version in ("v1", "v1beta1"):
            return Accept(form=_FORMS[form], version=version, media_type=name)
    if known:
        raise Refused(406, "NotAcceptable", f"only the following media types are accepted: {_ACCEPTED}")
    raise Refused(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {_ACCEPTED}", details={})


def parse_json(body: bytes) -> Any:
    """The value of a JSON body; what is no UTF-8 in it is read as Go reads it, as characters that nobody knows."""
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        return msgspec.json.decode(body.decode(errors="replace"))
