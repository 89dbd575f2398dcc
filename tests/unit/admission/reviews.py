"""Reviews as an API server would send them, and verdicts a test can compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from controller.admission.findings import Finding
from controller.admission.judge import Verdict, judge
from controller.admission.review import Review
from controller.k8s.meta import Resource

POLICY = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
UID = "8d1c0d84-0001"
VERSIONS = {"Server": "v1beta3", "ServerAuthorization": "v1beta1", "GRPCRoute": "v1", "TLSRoute": "v1alpha2"}
GATEWAY_KINDS = ("GRPCRoute", "TLSRoute", "TCPRoute")

Json = Any


def silent(_resource: Resource, _review: Review) -> Iterable[Finding]:
    """No advice."""
    return ()


def review(
    kind: str,
    spec: Json,
    *,
    group: str | None = None,
    namespace: str = "ns-0",
    annotations: Mapping[str, str] | None = None,
    metadata: Json = None,
    **more: Json,
) -> Json:
    """A review of creating an object; `more` replaces fields of the request."""
    group = (GATEWAY if kind in GATEWAY_KINDS else POLICY) if group is None else group
    version = VERSIONS.get(kind, "v1alpha1")
    meta = {"name": "x", "namespace": namespace, "annotations": annotations} if metadata is None else metadata
    request = {
        "uid": UID,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": f"{kind.lower()}s"},
        "requestKind": {"group": group, "version": version, "kind": kind},
        "name": "x",
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters"]},
        "object": {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": meta, "spec": spec},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **more,
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def ask(kind: str, spec: Json, **more: Json) -> Verdict:
    """The verdict on creating an object with this spec."""
    return judge(json.dumps(review(kind, spec, **more)).encode(), silent)


def answer_of(verdict: Verdict) -> Json:
    return json.loads(verdict.answer)


def warnings_of(verdict: Verdict) -> list[str]:
    found: list[str] = answer_of(verdict)["response"].get("warnings", [])
    return found


def admitted(kind: str, spec: Json, **more: Json) -> bool:
    """Whether it may be created, without a warning."""
    verdict = ask(kind, spec, **more)
    assert warnings_of(verdict) == []
    assert verdict.unread is None
    assert answer_of(verdict)["response"]["uid"] == UID
    assert answer_of(verdict)["response"]["allowed"] is verdict.allowed
    return verdict.allowed


def denial(kind: str, spec: Json, **more: Json) -> list[str]:
    """What is held against creating it; each finding is a text."""
    verdict = ask(kind, spec, **more)
    response = answer_of(verdict)["response"]
    assert response == {"uid": UID, "allowed": False, "status": {"message": verdict.denial}}
    assert verdict.denial is not None
    return verdict.denial.split("; ")


def warned(kind: str, spec: Json, **more: Json) -> list[str]:
    """What somebody is told whose object is let in."""
    verdict = ask(kind, spec, **more)
    assert verdict.allowed
    return warnings_of(verdict)
