"""From bytes to verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from controller.admission.findings import Finding, warning
from controller.admission.judge import Verdict, judge
from controller.admission.review import Review
from controller.k8s.meta import Resource
from controller.k8s.policy import Server

from .reviews import GATEWAY, POLICY, answer_of, ask, denial, review, silent

SPEC = {"podSelector": {}, "port": 80}


@pytest.mark.parametrize("body", [b"", b"hello", b"{}"])
def test_junk_is_invalid(body: bytes) -> None:  # status 319
    """The answer has no uid, and nothing is counted under a name that a stranger chose."""
    verdict = judge(body, silent)

    assert (verdict.allowed, verdict.kind, verdict.operation) == (False, "unknown", "unknown")
    response = answer_of(verdict)["response"]
    assert response["uid"] == ""
    assert response["allowed"] is False
    assert response["status"]["message"].startswith("cannot decode the review: ")


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("workload.linkerd.io", "ExternalWorkload"),
        ("", "Pod"),
        (GATEWAY, "Server"),
        (GATEWAY, "UDPRoute"),
        (POLICY, "GRPCRoute"),
    ],
)
def test_kinds_without_rules_are_invalid(group: str, kind: str) -> None:  # status 319
    """It is not for us to let them in or to keep them out."""
    verdict = ask(kind, {}, group=group)

    assert answer_of(verdict)["response"]["uid"] == ""
    assert verdict.denial is not None
    assert verdict.denial.startswith(f"no rules for {group}/v1")
    assert verdict.denial.endswith(f" {kind}")


@pytest.mark.parametrize(
    ("kind", "group", "strict"),
    [
        ("AuthorizationPolicy", POLICY, True),
        ("HTTPRoute", POLICY, True),
        ("HTTPRoute", GATEWAY, False),
        ("TCPRoute", GATEWAY, False),
    ],
)
@pytest.mark.parametrize("thing", [None, {"metadata": {}}])
def test_objects_without_a_spec(kind: str, group: str, strict: bool, thing: Any) -> None:  # status 319
    """They are denied where we alone know the kind."""
    verdict = ask(kind, None, group=group, object=thing)

    assert verdict.allowed is not strict
    where = "object" if thing is None else "spec"
    assert (verdict.denial if strict else verdict.unread) == f"{where}: must be set"


@pytest.mark.parametrize(
    ("group", "kind"), [(POLICY.upper(), "SERVER"), (POLICY, "server"), ("Policy.Linkerd.IO", "Server")]
)
def test_case_and_version_do_not_matter(group: str, kind: str) -> None:
    """Every version is read as the newest; what the object says of itself is not looked at."""
    whole = review(kind, SPEC | {"accessPolicy": "bogus"}, group=group)
    whole["request"]["kind"]["version"] = "v0"
    whole["request"]["object"]["kind"] = "Pod"

    verdict = judge(json.dumps(whole).encode(), silent)

    assert verdict.kind == "Server.policy.linkerd.io"
    assert verdict.denial is not None
    assert verdict.denial.startswith("spec.accessPolicy: ")


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE", "CONNECT"])
def test_every_operation_is_judged(operation: str) -> None:
    """Also a deletion, should somebody ask about it."""
    assert ask("Server", SPEC, operation=operation).allowed
    verdict = ask("Server", SPEC | {"accessPolicy": "bogus"}, operation=operation)
    assert not verdict.allowed
    assert verdict.operation == operation


def test_a_verdict_tells_what_it_was_about() -> None:
    """For logs and for metrics."""
    assert attrs_of(ask("Server", SPEC)) == ("Server.policy.linkerd.io", "CREATE", "ns-0", "x")


def attrs_of(verdict: Verdict) -> tuple[str, str, str, str]:
    return verdict.kind, verdict.operation, verdict.namespace, verdict.name


def test_long_messages_are_cut() -> None:
    """Twenty findings are enough to begin with, and each names its field before anything long."""
    identities = ["A" * 1000] * 25

    found = denial("MeshTLSAuthentication", {"identities": identities})

    assert len(found) == 21
    assert found[0].startswith("spec.identities[0]: ")
    assert all(len(text) <= 400 for text in found)
    assert found[-1] == "and 5 more"


def advise(resource: Resource, asked: Review) -> Iterable[Finding]:
    """More advice than an answer may have."""
    assert isinstance(resource, Server)
    assert asked.changes_spec
    return [warning(f"spec.a{i}", "b" * 300) for i in range(12)]


def test_advice_becomes_warnings() -> None:
    """As many and as long as the API server passes on."""
    verdict = judge(json.dumps(review("Server", SPEC)).encode(), advise)

    texts = answer_of(verdict)["response"]["warnings"]
    assert verdict.allowed
    assert len(texts) == 10
    assert [text[:10] for text in texts[:2]] == ["spec.a0: b", "spec.a1: b"]
    assert all(len(text) == 256 and text.endswith("…") for text in texts)


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        (SPEC | {"accessPolicy": "bogus"}, {}),
        (SPEC, {"operation": "DELETE"}),
        (SPEC, {"operation": "UPDATE", "subResource": "status"}),
    ],
)
def test_nobody_is_advised_in_vain(spec: Any, more: Any) -> None:
    """Not whose object is refused, deleted, or only gets a status."""
    verdict = judge(json.dumps(review("Server", spec, **more)).encode(), advise)

    assert "warnings" not in answer_of(verdict)["response"]
