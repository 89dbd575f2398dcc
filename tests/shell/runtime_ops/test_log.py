"""What log lines look like, and which are written."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio

from controller.runtime.log import AlreadyConfigured, configured, get_logger, span
from controller.runtime.log_filter import Level, LogFilter, LogFormat

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (?P<rest>.*)\Z", re.DOTALL)


def plain(write: Callable[[], None], *, directives: str = "info") -> list[str]:
    output = io.StringIO()
    with configured(LogFilter.parse(directives), LogFormat.PLAIN, output=output):
        write()
    lines = output.getvalue().splitlines()
    return [match["rest"] if (match := LINE.match(line)) else line for line in lines]


def as_json(write: Callable[[], None], *, directives: str = "info") -> list[dict[str, Any]]:
    output = io.StringIO()
    with configured(LogFilter.parse(directives), LogFormat.JSON, output=output):
        write()
    return [json.loads(line) for line in output.getvalue().splitlines()]


# runtime G2
def test_a_plain_line_names_spans_target_message_and_fields() -> None:
    """Spans stand outermost first before the target; values that would confuse are quoted."""

    def write() -> None:
        with span("grpc", port=8090), span("watch"):
            get_logger("controller.grpc").info("answer sent", target="web:80", reason='a "b"\nc', empty="")

    assert plain(write) == [
        r' INFO grpc{port=8090}:watch: controller.grpc: answer sent target=web:80 reason="a \"b\"\nc" empty=""'
    ]


# runtime G2
def test_a_json_line_is_one_object() -> None:
    """Each line is an object with the keys that log collectors of upstream's lines know."""

    def write() -> None:
        with span("pods"), span("list", page=2):
            get_logger("controller.runtime").warning("page\nfailed", attempt=3, error=ValueError("no"))

    (line,) = as_json(write)

    assert list(line) == ["timestamp", "level", "fields", "target", "spans"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert line["level"] == "WARN"
    assert line["target"] == "controller.runtime"
    assert line["fields"] == {"message": "page\nfailed", "attempt": 3, "error": "no"}
    assert line["spans"] == [{"name": "pods"}, {"name": "list", "page": 2}]


# runtime G2
def test_an_exception_stays_inside_its_json_line() -> None:
    """A traceback is a field, however many lines it has."""

    def write() -> None:
        try:
            int("broken")
        except ValueError:
            get_logger("controller.app").exception("stopping", kind="Pod")

    (line,) = as_json(write)

    assert line["level"] == "ERROR"
    assert line["fields"]["kind"] == "Pod"
    assert line["fields"]["exception"].startswith("Traceback")
    assert line["fields"]["exception"].endswith("base 10: 'broken'")


def test_an_exception_follows_its_plain_line_indented() -> None:
    """The rows of a traceback cannot be taken for lines of their own."""

    def write() -> None:
        get_logger("controller.app").error("stopping", exc_info=ValueError("broken"))

    first, *rows = plain(write)

    assert first == "ERROR controller.app: stopping"
    assert rows == ["    ValueError: broken"]


def test_levels_below_the_filter_are_silent() -> None:
    """Only what the filter wants of a target is written, and a caller can ask beforehand."""
    chatty, quiet = get_logger("controller.chatty"), get_logger("controller.quiet")

    def write() -> None:
        assert chatty.enabled(Level.TRACE)
        assert not quiet.enabled(Level.DEBUG)
        for log in (chatty, quiet.bind(who="q")):
            log.trace("1")
            log.debug("2")
            log.info("3")
            log.warning("4")
            log.error("5")

    assert plain(write, directives="controller.chatty=trace,warn") == [
        "TRACE controller.chatty: 1",
        "DEBUG controller.chatty: 2",
        " INFO controller.chatty: 3",
        " WARN controller.chatty: 4",
        "ERROR controller.chatty: 5",
        " WARN controller.quiet: 4 who=q",
        "ERROR controller.quiet: 5 who=q",
    ]


def test_the_standard_library_logs_in_the_same_way() -> None:
    """Records of dependencies are lines of ours, under the same filter, and the root logger is given back."""
    before = logging.getLogger().handlers, logging.getLogger().level

    def write() -> None:
        logging.getLogger("httpx").info("request %s", 1)
        logging.getLogger("anycorn.error").info("hidden")
        logging.getLogger("anycorn.error").warning("seen", exc_info=ValueError("no"))

    assert plain(write, directives="httpx=info,warn") == [
        " INFO httpx: request 1",
        " WARN anycorn.error: seen",
        "    ValueError: no",
    ]
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


# runtime G3
def test_logging_is_configured_once() -> None:
    """A second set-up while the first holds is an error; afterwards it is not."""
    with (
        configured(LogFilter.parse("info"), LogFormat.PLAIN, output=io.StringIO()),
        pytest.raises(AlreadyConfigured),
        configured(LogFilter.parse("info"), LogFormat.PLAIN, output=io.StringIO()),
    ):
        pass
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=io.StringIO()):
        pass


def test_without_configuration_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Pure use of a module, as in tests, writes nothing and fails at nothing."""
    get_logger("controller.app").error("lost")

    assert capsys.readouterr() == ("", "")


def test_a_closed_output_stops_nobody() -> None:
    """A line that cannot be written any more is dropped."""
    output = io.StringIO()
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=output):
        output.close()
        get_logger("controller.app").error("lost")


# runtime G4
async def test_spans_are_inherited_and_never_leak(autojump_clock: object) -> None:
    """A task carries the spans of the task that started it, and its own do not reach a sibling."""
    output = io.StringIO()
    log = get_logger("controller.app")

    async def child(name: str) -> None:
        with span(name):
            await trio.sleep(1)
            log.info("working")

    with configured(LogFilter.parse("info"), LogFormat.JSON, output=output):
        with span("run"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child, "a")
                nursery.start_soon(child, "b")
        log.info("after")

    spans = [[item["name"] for item in json.loads(line)["spans"]] for line in output.getvalue().splitlines()]
    assert sorted(spans) == [[], ["run", "a"], ["run", "b"]]
