"""Sets of ports in annotations and flags."""

from __future__ import annotations

import pytest

from controller.index.parse.invalid import Invalid
from controller.index.parse.ports import parse_port_set


# inbound 10
@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", []),
        (",", []),
        (" ,, ", []),
        ("1", [1]),
        ("1-3", [1, 2, 3]),
        ("4,1-2", [1, 2, 4]),
        ("80-80", [80]),
        (" 80 - 81 ,\t90", [80, 81, 90]),
        ("+80,0081", [80, 81]),
        ("1,1-2,2", [1, 2]),
        ("65535", [65_535]),
    ],
)
def test_numbers_and_ranges_between_commas(text: str, ports: list[int]) -> None:
    """Blanks, plus signs, leading zeros and empty items are let pass."""
    assert [*parse_port_set(text)] == ports


# inbound 10
@pytest.mark.parametrize(
    "text",
    [
        "0",
        "2-1",
        "2-",
        "-2",
        "-",
        "1-2-3",
        "65536",
        "65537",
        "1,x",
        "8o80",
        "1 2",
        "٣",
        "1_0",
        "0x10",
        "1.5",
        "9" * 5_000,
    ],
)
def test_one_bad_item_makes_the_whole_invalid(text: str) -> None:
    """What is not a port, or a range that ends before it begins."""
    with pytest.raises(Invalid, match="port"):
        parse_port_set(text)
