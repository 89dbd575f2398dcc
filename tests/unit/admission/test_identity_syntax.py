"""Which texts are mesh identities."""

from __future__ import annotations

import pytest

from controller.admission.identity_syntax import check_identity
from controller.index.parse.invalid import Invalid


@pytest.mark.parametrize(
    "text",
    [
        "system.local",  # status 93
        "*",  # status 94
        "*.system.local",  # status 95
        "spiffe://trustdomain",  # status 100
        "spiffe://trustdomain/path/element",  # status 101
        "example.id",  # status 163
        "a",
        "0.1-2.3",
        "*.a.b",
        "spiffe://a.b-c_d/X-y.z_0/...",
        "a" * 5000,
        "spiffe://" + "a" * 5000,
    ],
)
def test_identities_are_dns_like_or_spiffe(text: str) -> None:  # inbound 87
    """Names in lower case, a leading `*`, and SPIFFE IDs with or without a path."""
    check_identity(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("system.local.*", "neither"),  # status 96
        ("system.local.", "neither"),  # status 97
        (".system.local", "neither"),  # status 98
        ("system..local", "neither"),  # status 99
        ("http://domain.test/path/element", "neither"),  # status 102
        ("spiffe:/path/element", "neither"),  # status 103
        ("spiffe:///path/element", "no trust domain"),  # status 104
        ("spiffe:path/element", "neither"),  # status 105
        ("spiffe://domain.test/path/element?query=", "the path of .* may only have"),  # status 106
        ("spiffe://domain.test/path/element#fragment-1", "the path of .* may only have"),  # status 107
        ("spiffe://domain.test:8080/path/element", "the trust domain of .* may only have"),  # status 108
        ("spiffe://user:password@test.org/path/element", "the trust domain of .* may only have"),  # status 109
        ("spiffe://test.org/", "ends with a slash"),  # status 110
        ("spiffe://test.org//", "ends with a slash"),  # status 111
        ("spiffe://test.org//a", "an empty segment"),  # status 111
        ("spiffe://test.org/path/other/", "ends with a slash"),  # status 112
        ("spiffe://test.org/path/./other", "a segment '.'"),  # status 113
        ("spiffe://test.org/path/../other", "a segment '..'"),  # status 114
        ("", "neither"),
        ("a.*", "neither"),
        ("*a", "neither"),
        ("-a", "neither"),
        ("a-", "neither"),
        ("A.b", "neither"),
        ("a\n", "neither"),
        ("Spiffe://a", "neither"),
        ("spiffe://", "no trust domain"),
        ("spiffe://A", "the trust domain"),
        ("spiffe://a\n", "the trust domain"),
        ("spiffe://a/b\n", "the path of"),
    ],
)
def test_what_is_no_identity_is_told_why(text: str, reason: str) -> None:  # inbound 87
    """The first thing that is wrong is named."""
    with pytest.raises(Invalid, match=reason):
        check_identity(text)
