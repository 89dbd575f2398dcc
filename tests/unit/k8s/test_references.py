"""References to kinds."""

from __future__ import annotations

import pytest

from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP, TargetRef, group_key


@pytest.mark.parametrize(
    ("ref", "group", "kind"),
    [
        (TargetRef("Namespace", "n"), "", "Namespace"),  # status 117, inbound 7
        (TargetRef("ServiceAccount", "n"), "core", "ServiceAccount"),  # status 118, inbound 8
        (TargetRef("ServiceAccount", "n", "core"), "", "ServiceAccount"),
        (TargetRef("SERVICEACCOUNT", "n", "CORE"), "", "ServiceAccount"),
        (TargetRef("ServiceAccount", "n", ""), "", "ServiceAccount"),
        (TargetRef("Server", "n", POLICY_GROUP), POLICY_GROUP, "Server"),  # status 119, inbound 9
        (TargetRef("HttpRoute", "n", "Gateway.Networking.K8s.io"), GATEWAY_GROUP, "HTTPRoute"),
    ],
)
def test_case_does_not_count_and_no_group_is_the_core(ref: TargetRef, group: str, kind: str) -> None:
    """References target what they name, however they spell it."""
    assert ref.targets(group, kind)


@pytest.mark.parametrize(
    ("ref", "group", "kind"),
    [
        (TargetRef("Server", "n"), POLICY_GROUP, "Server"),
        (TargetRef("Server", "n", POLICY_GROUP), POLICY_GROUP, "HTTPRoute"),
        (TargetRef("Namespace", "n", POLICY_GROUP), "", "Namespace"),
    ],
)
def test_another_group_or_kind_is_another_thing(ref: TargetRef, group: str, kind: str) -> None:
    """Both must agree."""
    assert not ref.targets(group, kind)


def test_a_kind_is_shown_with_its_group() -> None:
    """The core group is not spoken."""
    assert TargetRef("Server", "n", POLICY_GROUP).canonical_kind == "Server.policy.linkerd.io"
    assert TargetRef("Pod", "n").canonical_kind == "Pod"
    assert TargetRef("Pod", "n", "").canonical_kind == "Pod"
    assert group_key(None) == group_key("") == group_key("Core") == "core"
