"""Label selectors."""

from __future__ import annotations

import pytest

from controller.k8s.selectors import LabelExpression, LabelSelector

WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [  # status 116, inbound 3 4 5 6
        (LabelSelector(), {}, True),
        (LabelSelector(), WEB, True),
        (LabelSelector({}, ()), WEB, True),
        (LabelSelector({"app": "web"}), {"app": "web"}, True),
        (LabelSelector({"app": "web"}), WEB, True),
        (LabelSelector({"app": "web"}), {"app": "db"}, False),
        (LabelSelector({"app": "web"}), {}, False),
        (LabelSelector({"app": "web"}, (LabelExpression("tier", "In", ("back",)),)), WEB, False),
        (LabelSelector({"app": "web"}, (LabelExpression("tier", "In", ("front",)),)), WEB, True),
    ],
)
def test_labels_and_expressions_must_all_hold(selector: LabelSelector, labels: dict[str, str], matches: bool) -> None:
    """Nothing said selects everything."""
    assert selector.matches(labels) is matches


@pytest.mark.parametrize(
    ("operator", "values", "present", "other", "absent"),
    [  # inbound 4.1: the label has one of the values, another value, or is not there
        ("In", ("web",), True, False, False),
        ("In", (), False, False, False),
        ("In", None, False, False, False),
        ("NotIn", ("web",), False, True, True),
        ("NotIn", (), True, True, True),
        ("NotIn", None, False, False, False),
        ("Exists", None, True, True, False),
        ("Exists", (), False, False, False),
        ("DoesNotExist", None, False, False, True),
        ("DoesNotExist", ("web",), False, False, False),
    ],
)
def test_an_operator_with_wrong_values_never_matches(
    operator: str, values: tuple[str, ...] | None, present: bool, other: bool, absent: bool
) -> None:
    """As Linkerd has it, and Kubernetes has not."""
    expression = LabelExpression("app", operator, values)  # type: ignore[arg-type]  # from the table

    assert [expression.matches(labels) for labels in ({"app": "web"}, {"app": "db"}, {})] == [present, other, absent]
