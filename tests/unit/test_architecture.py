"""ARCHITECTURE.md names modules; they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "controller" / "ARCHITECTURE.md"


def test_every_module_that_is_named_exists() -> None:
    """A reader who follows a name finds the file."""
    names = set(re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.py)`", PAGE.read_text()))
    places = (ROOT / "controller", ROOT)

    missing = [name for name in sorted(names) if not any((place / name).is_file() for place in places)]

    assert names
    assert not missing


def test_every_proof_that_is_named_exists() -> None:
    """The tests that prove an invariant are there."""
    names = set(re.findall(r"`(tests/[a-z_/0-9.]+)`", PAGE.read_text()))

    assert names
    assert not [name for name in sorted(names) if not (ROOT / name).exists()]


def test_the_page_stays_readable() -> None:
    """Two hundred lines are what somebody reads."""
    assert len(PAGE.read_text().splitlines()) <= 200
