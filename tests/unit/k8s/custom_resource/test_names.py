"""Names of kinds."""

from __future__ import annotations

import pytest

from controller.k8s.custom_resource import SchemaError
from controller.k8s.custom_resource.names import plural_of, version_priority


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("fox", "foxes"),
        ("bus", "buses"),
        ("buzz", "buzzes"),
        ("church", "churches"),
        ("dish", "dishes"),
        ("puppy", "puppies"),
        ("day", "days"),
        ("policy", "policies"),
        ("server", "servers"),
    ],
)
def test_plurals_are_english(singular: str, plural: str) -> None:  # runtime X2
    """The usual endings are known."""
    assert plural_of(singular) == plural


def test_versions_are_ordered_as_kubernetes_orders_them() -> None:
    """Stable before beta before alpha, and higher numbers first."""
    ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2"]

    assert sorted(ordered, key=version_priority) == ordered[::-1]


def test_a_word_is_no_version() -> None:
    """There is no order among words."""
    with pytest.raises(SchemaError, match="version 'foo'"):
        version_priority("foo")
