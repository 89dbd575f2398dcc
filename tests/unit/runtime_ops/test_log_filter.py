"""Which lines a filter lets through."""

from __future__ import annotations

import pytest

from controller.runtime.log_filter import InvalidFilter, Level, LogFilter, LogFormat


def test_the_default_of_upstream_covers_us() -> None:
    """What upstream's charts pass gives our own targets `info` and everybody else `warn`."""
    levels = LogFilter.parse("linkerd=info,warn")

    assert levels.level_of("controller.index.inbound") == Level.INFO
    assert levels.level_of("controller.app") == Level.INFO
    assert levels.level_of("httpx") == Level.WARN


# runtime G1
@pytest.mark.parametrize(
    ("text", "target", "level"),
    [
        ("info", "httpx", Level.INFO),
        ("off", "controller.app", Level.OFF),
        ("controller=debug,warn", "controller.runtime.client", Level.DEBUG),
        ("controller=debug,warn", "trio", Level.WARN),
        ("controller=info,controller.index=trace", "controller.index.inbound", Level.TRACE),
        ("controller.index=trace,controller=info", "controller.indexer", Level.TRACE),  # prefixes are text, as upstream
        ("controller=info", "httpx", Level.OFF),
        ("controller", "controller.app", Level.TRACE),
        ("linkerd_policy_controller_k8s_index=debug,warn", "controller.index.inbound", Level.DEBUG),
        ("linkerd_policy_controller_k8s_index=debug,warn", "controller.grpc.inbound", Level.WARN),
        ("linkerd_policy_controller_k8s_index::inbound=debug,warn", "controller.index.outbound", Level.WARN),
        ("linkerd_policy_controller_runtime=debug,warn", "controller.runtime.admin", Level.DEBUG),
        ("linkerd_policy_controller=debug,warn", "controller.app", Level.DEBUG),
        ("INFO", "x", Level.INFO),
        ("a=4,2", "a", Level.DEBUG),
        ("a=4,2", "b", Level.WARN),
        ("a=info,a=debug", "a", Level.DEBUG),
        ("warn, a=info ,", "a", Level.INFO),
        ("", "controller.app", Level.ERROR),
    ],
)
def test_the_longest_matching_prefix_decides(text: str, target: str, level: Level) -> None:
    """Directives are prefixes of targets in upstream's words or in ours, and the longest one wins."""
    assert LogFilter.parse(text).level_of(target) == level


# runtime G1
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a=loud", "'loud' is not a level; levels are off, error, warn, info, debug, trace"),
        ("a=", "'' is not a level"),
        ("=info", "'' is not a target"),
        ("a b=info", "'a b' is not a target"),
        ("warning", "write warn"),
        ("a[span]=info", "filters by span are not supported"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, complaint: str) -> None:
    """A bad directive is an error that quotes it and says what would do."""
    with pytest.raises(InvalidFilter, match="log filter") as caught:
        LogFilter.parse(f"info,{text}")

    assert complaint in str(caught.value)
    assert repr(text) in str(caught.value)


def test_the_highest_level_is_known() -> None:
    """Nothing is written beyond the highest level of any directive."""
    assert LogFilter.parse("a=debug,warn").highest == Level.DEBUG


# runtime G3
def test_a_format_is_plain_or_json() -> None:
    """Any other format is an error that names the valid ones."""
    assert LogFormat.parse("plain") is LogFormat.PLAIN
    assert LogFormat.parse("json") is LogFormat.JSON
    with pytest.raises(InvalidFilter, match="log format 'xml': must be plain or json"):
        LogFormat.parse("xml")
