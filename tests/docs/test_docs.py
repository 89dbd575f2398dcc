"""The documentation says what is so: flags, commands, links, alerts. Metrics are looked at where a controller runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.app import app
from tests.docs.reference import DOCS, FLAGS, flags, flags_page

ROOT = DOCS.parent
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
MONITORING = DOCS / "monitoring"


def alerts() -> Iterator[Any]:
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]:
        yield from group["rules"]


def panels() -> Iterator[Any]:
    yield from json.loads((MONITORING / "dashboard.json").read_text())["panels"]


def test_the_flags_are_listed() -> None:
    """The page is what the flags say of themselves. `nox -s docs` writes it."""
    assert flags_page() == FLAGS.read_text()
    assert len(list(flags("run"))) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Within the repository: to a file, and to a heading of it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{link} is no file"
            assert not anchor or anchor in anchors(target), f"{link} is no heading"


def anchors(page: Path) -> set[str]:
    """Names of the headings, as they are spelled in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Calls of `trellis` in the page's blocks of code, as words, without what the shell makes of them."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE):
        for call in re.findall(r"(?:^|\./dev |\$\(\./dev )trellis ([^|>)]+)", line):
            words = shlex.split(call.rstrip('"'), comments=True)
            if words and not words[0].startswith("-"):
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    """What is shown to be typed is parsed by the command itself."""
    for words in commands(page):
        if "--help" not in words:
            app.parse_args(words, exit_on_error=False, print_error=False)


def test_there_are_commands_to_check() -> None:
    """So that the test above does not check nothing."""
    found = [words[0] for page in PAGES for words in commands(page)]

    assert {"manifests", "certificate", "crds", "run"} <= set(found)


def test_flags_that_are_named_exist() -> None:
    """In running text as well."""
    known = {name for command in ("run", "manifests", "certificate", "crds") for _, name, *_ in flags(command)}
    known |= {"--help", "--verbose", "--version", "--keep", "--linkerd"}
    for page in DOCS.rglob("*.md"):
        for span in re.findall(r"`(--[a-z0-9-]+)", page.read_text()):
            assert span in known, f"{page.name}: {span}"


def test_every_alert_is_explained() -> None:
    """By a section of its name, and no section is about an alert that is no more."""
    named = [rule["alert"] for rule in alerts()]
    explained = re.findall(r"^## (\w+)$", (MONITORING / "alerts.md").read_text(), re.MULTILINE)

    assert sorted(named) == sorted(explained)


def test_alerts_say_what_there_is_to_say() -> None:
    """How bad it is, and what has happened, with labels that the expression has."""
    for rule in alerts():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        kept = set(re.findall(r"by \(([^)]*)\)", rule["expr"])[0].split(", ") if "by (" in rule["expr"] else [])
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept, rule["alert"]


def test_panels_can_be_shown() -> None:
    """None lies on another, each asks the data source that was chosen, and for the pods that were."""
    taken = set[tuple[int, int]]()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'namespace=~"$namespace", pod=~"$pod"' in target["expr"]
            by = set(", ".join(re.findall(r"by \(([^)]*)\)", target["expr"])).split(", "))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= by, target
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids) > 20
