"""A Lease as it is read and written: compatible with what kubert and client-go write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import attrs
import msgspec

from controller.runtime.errors import Garbled

Json: TypeAlias = dict[str, Any]
Time: TypeAlias = Annotated[dt.datetime, msgspec.Meta(tz=True)]
API_VERSION = "coordination.k8s.io/v1"


@attrs.frozen(kw_only=True)
class LeaseParams:
    """Which Lease, in whose name, and for how long a claim holds."""

    namespace: str
    name: str
    claimant: str
    field_manager: str
    duration: int = attrs.field(default=30, validator=attrs.validators.ge(3))  # whole seconds, as they are written
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    # The object that the Lease goes with, as an entry of ownerReferences; without one the Lease stays behind.
    owner: Mapping[str, Any] | None = None
    create: bool = True  # whether to make the Lease where there is none

    @property
    def request_seconds(self) -> float:
        """A request that takes longer is given up and made again; short enough for three attempts in a claim."""
        return max(1.0, self.duration / 5)

    @property
    def collection(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/leases"

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: Time | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _Metadata
    spec: _Spec | None = None


@attrs.frozen
class LeaseRecord:
    """A Lease as it was read. No holder means that it is free, whoever wrote it that way."""

    version: str
    holder: str | None
    renewed: dt.datetime | None
    duration: float
    transitions: int


def parse_lease(raw: bytes) -> LeaseRecord:
    """Read a Lease, or raise `Garbled`.

    kubert frees one by removing holder and times, client-go by an empty holder and a duration of a second; an absent or
    negative duration claims nothing either.
    """
    try:
        lease = msgspec.json.decode(raw, type=_Lease)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Garbled(f"reading a lease: {error}") from error
    if not lease.metadata.resource_version:
        raise Garbled("reading a lease: it has no resourceVersion", reason="no_rv")
    spec = lease.spec or _Spec()
    claimed = spec.holder_identity and spec.renew_time is not None and (spec.lease_duration_seconds or 0) > 0
    return LeaseRecord(
        lease.metadata.resource_version,
        spec.holder_identity if claimed else None,
        spec.renew_time,
        float(spec.lease_duration_seconds or 0),
        max(spec.lease_transitions or 0, 0),
    )


def to_create(params: LeaseParams) -> Json:
    """An apply that makes the Lease and changes none that exists: version 0 says so."""
    return _lease(params, "0")


def to_acquire(params: LeaseParams, record: LeaseRecord, wall: dt.datetime) -> Json:
    """An apply that claims the Lease, if it is still the version that was read.

    Labels and owner are in it: what an earlier apply of the same manager set and a later one lacks is removed.
    """
    body = _lease(params, record.version)
    body["spec"] = {
        "acquireTime": _micro_time(wall),
        "renewTime": _micro_time(wall),
        "holderIdentity": params.claimant,
        "leaseDurationSeconds": params.duration,
        "leaseTransitions": record.transitions + (record.holder != params.claimant),
    }
    return body


def to_renew(params: LeaseParams, record: LeaseRecord, wall: dt.datetime) -> Json:
    """A strategic merge patch that prolongs the claim, and leaves its beginning as it is."""
    body = _bare(record.version)
    body["spec"] = {"renewTime": _micro_time(wall), "leaseDurationSeconds": params.duration}
    return body


def to_vacate(record: LeaseRecord) -> Json:
    """A strategic merge patch that frees the Lease."""
    body = _bare(record.version)
    body["spec"] = dict.fromkeys(("acquireTime", "renewTime", "holderIdentity", "leaseDurationSeconds"))
    return body


def _bare(version: str) -> Json:
    return {"apiVersion": API_VERSION, "kind": "Lease", "metadata": {"resourceVersion": version}}


def _lease(params: LeaseParams, version: str) -> Json:
    body = _bare(version)
    body["metadata"] |= {"name": params.name, "namespace": params.namespace}
    if params.labels:
        body["metadata"]["labels"] = dict(params.labels)
    if params.owner is not None:
        body["metadata"]["ownerReferences"] = [dict(params.owner)]
    return body


def _micro_time(wall: dt.datetime) -> str:
    return wall.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
