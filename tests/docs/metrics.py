"""Which metrics a page, an alert or a panel speaks of, and which a controller has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.docs.reference import DOCS
from tests.docs.test_docs import alerts, panels

METRICS = DOCS / "metrics.md"
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
_WORDS = {"and", "or", "unless", "by", "on", "group_left", "bool", "offset", "without"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of every metric in the page."""
    rows = _ROW.findall(METRICS.read_text())
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}


def scraped(text: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels, as far as there are samples, of every metric of a controller; in OpenMetrics."""
    found = dict[str, tuple[str, set[str]]]()
    for family in text_string_to_metric_families(text):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name + ("_total" if family.type == "counter" else "")] = (family.type, labels)
    return found


def asked_for() -> Iterator[tuple[str, set[str]]]:
    """Names and labels of the metrics that alerts and panels ask for."""
    expressions = [rule["expr"] for rule in alerts()]
    expressions += [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    for expression in expressions:
        bare = re.sub(r"\b(by|on|group_left) ?\([^)]*\)", " ", expression)
        bare = re.sub(r"\[[^\]]*\]", " ", bare)
        for name, labels in re.findall(r"\b([a-z_]+)\b(?!\s*\()(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', bare)):
            if name not in _WORDS and not re.search(rf"\b{name}\s*=~?\s*\"", bare):
                matched = set(re.findall(r"(\w+)\s*=", labels)) - {"namespace", "pod"}
                yield re.sub(r"_bucket$", "", name), matched
