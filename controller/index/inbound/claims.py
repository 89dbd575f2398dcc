"""Which Server governs which port of which workload.

Of the Servers that select a workload, each claims its port, or the ports that its name stands for, unless a Server that
comes before it has claimed the port already. Claims are found per group of workloads and not per workload: only the
labels that some selector mentions count, so a template hash of its own makes no pod a group of its own.

Nothing here looks at all Servers or at all groups when it can help it. A selector that wants a certain value of a label
stands under that label (its anchor); a group stands under each of its labels. Only a selector without such a wish, an
empty one or `NotIn`, has to be looked at every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import attrs

from controller.index.inbound.cells import Group, ServerEntry
from controller.index.inbound.multimap import Multimap
from controller.index.parse.workloads import WorkloadShape
from controller.k8s.selectors import LabelSelector

Label: TypeAlias = tuple[str, str]

# Groups that nobody watches are kept up to this many (and as many as are watched): a unary question finds its answer.
_SPARE_GROUPS = 256


@attrs.define(eq=False)
class Claims:
    """The Servers that may select one kind of workload in one namespace, and the groups they tell apart."""

    _anchored: Multimap[Label | None, str, ServerEntry] = attrs.field(
        factory=Multimap[Label | None, str, ServerEntry], init=False
    )
    _mentions: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _keys: tuple[str, ...] = attrs.field(default=(), init=False)
    _groups: dict[tuple[object, ...], Group] = attrs.field(factory=dict[tuple[object, ...], Group], init=False)
    _by_label: Multimap[Label, int, Group] = attrs.field(factory=Multimap[Label, int, Group], init=False)
    _limit: int = attrs.field(default=_SPARE_GROUPS, init=False)
    # Whether a selector mentions a label by which no group has been formed yet.
    stale: bool = attrs.field(default=False, init=False)

    def add(self, entry: ServerEntry) -> None:
        mentioned = set(_mentioned(entry.form.selector))
        for anchor in _anchors(entry.form.selector):
            self._anchored.put(anchor, entry.form.name, entry)
        self._mentions.update(mentioned)
        self.stale = self.stale or not mentioned.issubset(self._keys)

    def remove(self, entry: ServerEntry) -> None:
        for anchor in _anchors(entry.form.selector):
            self._anchored.discard(anchor, entry.form.name)
        self._mentions.subtract(set(_mentioned(entry.form.selector)))

    def regroup(self) -> None:
        """Begin again, with the labels that are mentioned now. Whoever is in an old group has to ask for a new one."""
        self._mentions = +self._mentions
        self._keys = tuple(sorted(self._mentions))
        self._forget(list(self._groups.values()))
        self.stale = False

    def group_of(self, labels: Mapping[str, str], shape: WorkloadShape) -> Group:
        """The group of a workload."""
        mentioned = {key: labels[key] for key in self._keys if key in labels}
        group = self._groups.get((shape, *mentioned.items()))
        if group is None:
            self._make_room()
            group = Group(shape, mentioned, self.claims_of(mentioned, shape))
            self._groups[_key(group)] = group
            for label in mentioned.items():
                self._by_label.put(label, id(group), group)
        return group

    def selected_by(self, selector: LabelSelector) -> list[Group]:
        """The watched groups that a selector selects. Others are forgotten: their claims may be wrong now."""
        selected: list[Group] = []
        for anchor in _anchors(selector):
            groups = self._groups.values() if anchor is None else self._by_label.of(anchor).values()
            selected += [group for group in groups if selector.matches(group.labels)]
        self._forget([group for group in selected if not group.ports])
        return [group for group in selected if group.ports]

    def renew(self, group: Group) -> bool:
        """Find a group's claims again; say whether they are others now."""
        claims = self.claims_of(group.labels, group.shape)
        if claims == group.claims:
            return False
        group.claims = claims
        return True

    def claims_of(
        self, labels: Mapping[str, str], shape: WorkloadShape, *, without: str | None = None
    ) -> dict[int, ServerEntry]:
        """Which Server, of all but one, governs which port of workloads that look like this."""
        candidates = [*self._anchored.of(None).values()]
        for label in labels.items():
            candidates += self._anchored.of(label).values()
        selecting = [e for e in candidates if e.form.name != without and e.form.selector.matches(labels)]
        claims: dict[int, ServerEntry] = {}
        for entry in sorted(selecting, key=lambda entry: entry.form.precedence):
            for number in entry.form.ports_of(shape.named_ports):
                claims.setdefault(number, entry)
        return claims

    def looks_of(self, labels: Mapping[str, str]) -> tuple[str | None, ...]:
        """What of a workload's labels Servers can tell it by."""
        return tuple([labels.get(key) for key in self._mentions])

    def _make_room(self) -> None:
        """Drop the groups that nobody watches when there are many."""
        if len(self._groups) >= self._limit:
            self._forget([group for group in self._groups.values() if not group.ports])
            self._limit = 2 * len(self._groups) + _SPARE_GROUPS

    def _forget(self, groups: list[Group]) -> None:
        for group in groups:
            del self._groups[_key(group)]
            for label in group.labels.items():
                self._by_label.discard(label, id(group))


def _key(group: Group) -> tuple[object, ...]:
    return (group.shape, *group.labels.items())


def _anchors(selector: LabelSelector) -> tuple[Label | None, ...]:
    """The labels one of which a workload must have to be selected; `None` stands for: any workload may be."""
    for label in (selector.match_labels or {}).items():
        return (label,)
    for expression in selector.match_expressions or ():
        if expression.operator == "In":
            return tuple([(expression.key, value) for value in dict.fromkeys(expression.values or ())])
    return (None,)


def _mentioned(selector: LabelSelector) -> Iterator[str]:
    yield from selector.match_labels or ()
    for expression in selector.match_expressions or ():
        yield expression.key
