"""Single objects: read, write, delete, with the patience that each of these may have.

What may be sent twice is sent again after a failure that may pass; what may not be (a create whose answer was lost may
have happened) is sent again only if it never left. All waiting is part of the caller's time limit.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote

import attrs
import msgspec
import trio

from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.decode import Decoder, Undecodable
from controller.runtime.errors import Garbled, KubernetesError, Throttled, Unauthenticated, Unavailable
from controller.runtime.log import get_logger

R = TypeVar("R", bound=Resource)

_log = get_logger(__name__)

ATTEMPTS = 5
FIRST_WAIT = 0.2  # seconds; doubled each time, and scaled by chance
LONGEST_WAIT = 30.0  # seconds; however long the server would like us to wait
REQUEST_SECONDS = 30.0
PAGE_SIZE = 500


class PatchType(enum.Enum):
    """How a patch is to be understood; the values are content types."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Sends(Protocol):
    """The part of the client that this needs. Raises `KubernetesError`."""

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes: ...

    async def refresh_credentials(self) -> None: ...


def object_path(resource_type: ResourceType[Resource], namespace: str, name: str = "", subresource: str = "") -> str:
    """Return where an object is, or without a name those of a namespace, or without either those of the cluster."""
    collection = resource_type.api_path
    if namespace:
        prefix, _, plural = collection.rpartition("/")
        collection = f"{prefix}/namespaces/{quote(namespace, safe='')}/{plural}"
    return "/".join((collection, *(quote(part, safe="") for part in (name, subresource) if part)))


def wait_before_retry(
    error: KubernetesError, attempt: int, *, repeatable: bool, jitter: Callable[[], float]
) -> float | None:
    """Return how long to wait before attempt number `attempt` + 1, or `None` to give up."""
    if attempt >= ATTEMPTS or not isinstance(error, Unavailable):
        return None
    never_sent = error.reason == "connect"
    may_pass = never_sent or error.reason == "lost" or isinstance(error, Throttled) or _is_busy(error)
    if not may_pass or not (repeatable or never_sent):
        return None
    if error.retry_after is not None:
        return min(error.retry_after, LONGEST_WAIT)
    return float(min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT) * jitter())


def _is_busy(error: KubernetesError) -> bool:
    return error.status is not None and error.status.code in (503, 504)


@attrs.frozen
class KubeApi:
    """Reads and writes objects."""

    _client: Sends
    _jitter: Callable[[], float]
    _timeout: float = REQUEST_SECONDS

    async def get(self, resource_type: ResourceType[R], key: ObjectKey) -> R:
        return self._read(resource_type, await self.request("GET", object_path(resource_type, *key), repeatable=True))

    async def list(
        self, resource_type: ResourceType[R], *, namespace: str = "", label_selector: str = ""
    ) -> tuple[R, ...]:
        """Return all objects, page by page; one that cannot be read is left out and logged."""
        decoder = Decoder(resource_type)
        params = {"limit": str(PAGE_SIZE)}
        if label_selector or resource_type.label_selector:
            params["labelSelector"] = label_selector or resource_type.label_selector
        found: list[R] = []
        path = object_path(resource_type, namespace)
        while True:
            page = decoder.page(await self.request("GET", path, params=params, repeatable=True))
            for item in decoder.items(page.items or ()):
                if isinstance(item, resource_type.model):
                    found.append(item)
                elif isinstance(item, Undecodable):
                    _log.warning("an object cannot be read", name=item.metadata.name, error=item.error)
            if not page.metadata.continue_:
                return tuple(found)
            params = {**params, "continue": page.metadata.continue_}

    async def create(
        self,
        resource_type: ResourceType[R],
        body: object,
        *,
        namespace: str = "",
        params: Mapping[str, str] | None = None,
    ) -> R:
        """Create an object. Raises `AlreadyExists`."""
        path = object_path(resource_type, namespace)
        return self._read(resource_type, await self.request("POST", path, params=params, body=_encode(body)))

    async def put(
        self,
        resource_type: ResourceType[R],
        key: ObjectKey,
        body: object,
        *,
        subresource: str = "",
        params: Mapping[str, str] | None = None,
    ) -> R:
        """Replace an object as a whole. With a resourceVersion in it, raises `Conflicted` if somebody wrote first."""
        path = object_path(resource_type, *key, subresource)
        answer = await self.request("PUT", path, params=params, body=_encode(body), repeatable=True)
        return self._read(resource_type, answer)

    async def patch(
        self,
        resource_type: ResourceType[R],
        key: ObjectKey,
        body: object,
        patch_type: PatchType,
        *,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> R:
        """Change an object. An apply patch creates it, too, and `force` takes over fields that others manage."""
        params: dict[str, str] = {}
        if field_manager:
            params["fieldManager"] = field_manager
        if force:
            params["force"] = "true"
        answer = await self.request(
            "PATCH",
            object_path(resource_type, *key, subresource),
            params=params,
            body=_encode(body),
            content_type=patch_type.value,
            # The others may append to lists, or be refused the second time.
            repeatable=patch_type in (PatchType.APPLY, PatchType.MERGE),
        )
        return self._read(resource_type, answer)

    async def delete(
        self,
        resource_type: ResourceType[Resource],
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
    ) -> None:
        """Delete an object; with a uid or version, only if it is still that one. Raises `Absent` or `Conflicted`."""
        options: dict[str, object] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {name: value for name, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        if preconditions:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        await self.request(
            "DELETE", object_path(resource_type, *key), body=_encode(options), repeatable=bool(preconditions)
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        repeatable: bool = False,
    ) -> bytes:
        """Send a request until it is answered or cannot be; `repeatable` says that sending it twice does no harm."""
        with trio.move_on_after(self._timeout):
            return await self._persist(
                lambda: self._client.send(method, path, params=params, body=body, content_type=content_type),
                repeatable=repeatable,
            )
        raise Unavailable(f"{method} {path}: not done within {self._timeout:g} s", reason="timeout")

    async def _persist(self, send: Callable[[], Awaitable[bytes]], *, repeatable: bool) -> bytes:
        attempt, refreshed = 1, False
        while True:
            try:
                return await send()
            except Unauthenticated:
                if refreshed:
                    raise
                refreshed = True
                await self._client.refresh_credentials()
            except KubernetesError as error:
                wait = wait_before_retry(error, attempt, repeatable=repeatable, jitter=self._jitter)
                if wait is None:
                    raise
                attempt += 1
                _log.debug("trying again", error=error.message, wait_seconds=round(wait, 2))
                await trio.sleep(wait)

    def _read(self, resource_type: ResourceType[R], body: bytes) -> R:
        try:
            return resource_type.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(
                f"the answer is no {resource_type.kind} that we can read: {error}", reason="decode"
            ) from error


def _encode(body: object) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)
