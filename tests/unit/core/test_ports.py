"""Sets of ports."""

from __future__ import annotations

import sys

from controller.core.ports import NO_PORTS, PortSet


def test_ranges_that_touch_are_one() -> None:
    """Equal sets are equal values, however they were written."""
    assert PortSet.of([(5, 6), (1, 2), (3, 3), (2, 2)]) == PortSet(((1, 3), (5, 6))) == PortSet.of([(1, 3), (5, 6)])
    assert PortSet.of([(1, 10), (2, 3)]) == PortSet(((1, 10),))


def test_a_set_knows_its_members() -> None:
    """Both ends of a range belong to it."""
    ports = PortSet.of([(3, 5), (10, 10)])

    assert [port for port in range(12) if port in ports] == [*ports] == [3, 4, 5, 10]
    assert 65_535 in PortSet.of([(1, 65_535)])


def test_the_empty_set_is_false() -> None:
    """A set without ranges has nobody in it."""
    assert not NO_PORTS
    assert PortSet.of([(1, 1)])
    assert 1 not in NO_PORTS


def test_all_ports_take_no_more_room_than_one() -> None:
    """A set of every port is one range."""
    assert sys.getsizeof(PortSet.of([(1, 65_535)]).ranges) == sys.getsizeof(PortSet.of([(1, 1)]).ranges)
