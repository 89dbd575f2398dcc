"""Which EgressNetwork an address belongs to.

A caller's own namespace comes first: if it has EgressNetworks, only they count, matching or not. Otherwise those of
the global namespace do. Of the networks that contain the address the one with the smallest matching block wins, then
the oldest, then the first by name.

A network's size at an address is the least of its blocks that contain it. So the blocks of a namespace, sorted by what
decides, answer with the first one that contains the address, and nothing has to be compared at lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import attrs

from controller.core.network import ALL_NETWORKS, IPAddress, IPNet, NetworkMatch
from controller.index.parse.destinations import EgressNetworkForm
from controller.k8s.meta import ObjectKey

_BITS = {4: 32, 6: 128}


class _Range(NamedTuple):
    """A block of addresses as numbers."""

    network: int
    mask: int

    def holds(self, address: int) -> bool:
        return address & self.mask == self.network


class _Block(NamedTuple):
    """A block of an EgressNetwork; sorts before those that it beats."""

    size: int
    dated: bool  # networks without a creation time count as the oldest
    created: float
    name: str
    version: int
    range: _Range
    exceptions: tuple[_Range, ...]

    def holds(self, address: int) -> bool:
        return self.range.holds(address) and not any(exception.holds(address) for exception in self.exceptions)


@attrs.define
class EgressNetworkTable:
    """The EgressNetworks that exist, by namespace and name."""

    _global_namespace: str
    # What an EgressNetwork that names no networks stands for: every address but the cluster's own.
    _outside: tuple[NetworkMatch, ...]
    _forms: dict[str, dict[str, EgressNetworkForm]] = attrs.field(
        factory=dict[str, "dict[str, EgressNetworkForm]"], init=False
    )
    _blocks: dict[str, list[_Block]] = attrs.field(factory=dict[str, "list[_Block]"], init=False)  # sorted; made anew

    @classmethod
    def create(cls, global_namespace: str, cluster_networks: Iterable[IPNet]) -> EgressNetworkTable:
        nets = tuple(cluster_networks)
        outside = tuple(
            [
                attrs.evolve(every, except_=tuple([net for net in nets if _version(net) == _version(every.net)]))
                for every in ALL_NETWORKS
            ]
        )
        return cls(global_namespace, outside)

    def get(self, key: ObjectKey) -> EgressNetworkForm | None:
        return self._forms.get(key.namespace, {}).get(key.name)

    def put(self, key: ObjectKey, form: EgressNetworkForm | None) -> None:
        """Keep what is known now; `None` if the EgressNetwork is gone."""
        self._blocks.pop(key.namespace, None)
        forms = self._forms.setdefault(key.namespace, {})
        if form is not None:
            forms[key.name] = form
            return
        forms.pop(key.name, None)
        if not forms:
            del self._forms[key.namespace]

    def at(self, address: IPAddress, source_namespace: str) -> ObjectKey | None:
        """The EgressNetwork that governs traffic to the address from callers of a namespace."""
        namespace = source_namespace if source_namespace in self._forms else self._global_namespace
        version, number = address.version, int(address)
        for block in self._sorted_blocks(namespace):
            if block.version == version and block.holds(number):
                return ObjectKey(namespace, block.name)
        return None

    def _sorted_blocks(self, namespace: str) -> list[_Block]:
        blocks = self._blocks.get(namespace)
        if blocks is None:
            forms = self._forms.get(namespace)
            if not forms:
                return []
            blocks = self._blocks[namespace] = sorted(
                [block for name, form in forms.items() for block in self._blocks_of(name, form)]
            )
        return blocks

    def _blocks_of(self, name: str, form: EgressNetworkForm) -> Iterator[_Block]:
        for match in self._outside if form.networks is None else form.networks:
            created = form.created.timestamp() if form.created else 0.0
            version = _version(match.net)
            exceptions = [net for net in match.except_ if _version(net) == version]
            size = _hosts(match.net) - sum(map(_hosts, match.except_))
            yield _Block(
                size,
                form.created is not None,
                created,
                name,
                version,
                _range(match.net),
                tuple(map(_range, exceptions)),
            )

    def __len__(self) -> int:
        return sum(map(len, self._forms.values()))


def _version(net: IPNet) -> int:
    return net.address.version


def _range(net: IPNet) -> _Range:
    bits = _BITS[_version(net)]
    mask = (1 << bits) - (1 << (bits - net.prefix))
    return _Range(int(net.address) & mask, mask)


def _hosts(net: IPNet) -> int:
    """How many hosts a block has; of IPv4 blocks the first and the last address are none."""
    addresses = 1 << (_BITS[_version(net)] - net.prefix)
    return addresses - 2 if _version(net) == 4 and addresses > 2 else addresses
