"""Log lines: who says what, in which spans, as text or as JSON, on standard output.

A logger has a target, by convention its module's name, and the filter gives each target a level. What the level
excludes costs one comparison. Spans say in what context a task works (`pods`, `grpc{port=8090}`); they live in a
context variable, so a task inherits those of its parent and cannot leak its own to a sibling.

The standard library's loggers, which our dependencies use, end up in the same lines under the same filter.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import logging
import sys
import traceback
from collections.abc import Callable, Generator, MutableMapping
from typing import Any, Protocol, TextIO, cast

import attrs
import msgspec
import structlog

from controller.runtime.log_filter import Level, LogFilter, LogFormat

Fields = MutableMapping[str, Any]  # what a line says besides its message; values are anything with a `str`


class AlreadyConfigured(Exception):
    """Logging belongs to the whole process, and somebody has set it up before."""


class Logger(Protocol):
    """What everybody logs with. The event is constant text; what varies goes into the keywords."""

    def trace(self, event: str, **fields: object) -> None: ...
    def debug(self, event: str, **fields: object) -> None: ...
    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...
    def exception(self, event: str, **fields: object) -> None: ...
    def enabled(self, level: Level) -> bool: ...
    def bind(self, **fields: object) -> Logger: ...


def get_logger(target: str) -> Logger:
    """Return the logger of a target. It may be made before logging is configured; until then it is silent."""
    logger = structlog.wrap_logger(
        _registry.target(target), wrapper_class=BoundLogger, processors=[_describe_exception, _render]
    )
    return cast("Logger", logger.bind())


@attrs.frozen
class Span:
    """A named piece of context."""

    name: str
    fields: tuple[tuple[str, object], ...] = ()


_spans: contextvars.ContextVar[tuple[Span, ...]] = contextvars.ContextVar("spans", default=())


@contextlib.contextmanager
def span(name: str, **fields: object) -> Generator[None]:
    """Lines written in this block, by this task or those it starts, carry the span."""
    token = _spans.set((*_spans.get(), Span(name, tuple(fields.items()))))
    try:
        yield
    finally:
        _spans.reset(token)


@contextlib.contextmanager
def configured(log_filter: LogFilter, log_format: LogFormat, *, output: TextIO | None = None) -> Generator[None]:
    """Log in this block, to standard output unless another `output` is given."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    _registry.attach(Sink(log_filter, _RENDERERS[log_format], output or sys.stdout))
    root.handlers = [_StandardHandler()]
    # The standard library's loggers know nothing of our filter; this level is what keeps those that nobody wants cheap.
    root.setLevel(_STANDARD[log_filter.highest])
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        _registry.detach()


class BoundLogger(structlog.BoundLoggerBase):
    """A `Logger`. Compares levels before anything else, because most lines are not wanted."""

    _logger: Target

    def enabled(self, level: Level) -> bool:
        return level <= self._logger.level

    def trace(self, event: str, **fields: object) -> None:
        self._say(Level.TRACE, event, fields)

    def debug(self, event: str, **fields: object) -> None:
        self._say(Level.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._say(Level.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._say(Level.WARN, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._say(Level.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        fields.setdefault("exc_info", True)
        self._say(Level.ERROR, event, fields)

    def _say(self, level: Level, event: str, fields: dict[str, object]) -> None:
        if level <= self._logger.level:
            self._proxy_to_logger(level.name, event, **fields)


@attrs.define(eq=False)
class Target:
    """Where the lines of one target go, and how much of them is wanted."""

    name: str
    level: Level = Level.OFF
    sink: Sink | None = None

    def __getattr__(self, name: str) -> Callable[[str], None]:
        # structlog calls the method that is named like the level.
        if name in Level.__members__ and self.sink is not None:
            return self.sink.write
        raise AttributeError(name)


@attrs.frozen
class Sink:
    """Where lines go and what they look like."""

    log_filter: LogFilter
    renderer: Callable[[Line], str]
    output: TextIO

    def write(self, line: str) -> None:
        # Nobody may be reading any more (a closed pipe); a line that cannot be written is no reason to stop.
        with contextlib.suppress(OSError, ValueError):
            self.output.write(line + "\n")
            self.output.flush()


@attrs.define(eq=False)
class _Registry:
    """The targets of the process, made by name on first use, and the sink that they share."""

    _sink: Sink | None = None
    _targets: dict[str, Target] = attrs.field(factory=dict[str, Target], init=False)

    def target(self, name: str) -> Target:
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = Target(name)
            self._connect(target)
        return target

    def attach(self, sink: Sink) -> None:
        if self._sink is not None:
            raise AlreadyConfigured("configuring logging: it is configured already")
        self._switch(sink)

    def detach(self) -> None:
        self._switch(None)

    def _switch(self, sink: Sink | None) -> None:
        self._sink = sink
        for target in self._targets.values():
            self._connect(target)

    def _connect(self, target: Target) -> None:
        target.sink = self._sink
        target.level = self._sink.log_filter.level_of(target.name) if self._sink else Level.OFF


_registry = _Registry()


@attrs.frozen
class Line:
    """One event, ready to be rendered."""

    timestamp: str
    level: str
    target: str
    message: str
    fields: Fields
    spans: tuple[Span, ...]
    exception: str | None


def to_json(line: Line) -> str:
    """One object on one line; the message is a field among the fields, and spans come outermost first."""
    fields = {"message": line.message, **line.fields}
    if line.exception is not None:
        fields["exception"] = line.exception
    record: dict[str, object] = {
        "timestamp": line.timestamp,
        "level": line.level,
        "fields": fields,
        "target": line.target,
        "spans": [{"name": span.name, **dict(span.fields)} for span in line.spans],
    }
    return msgspec.json.encode(record, enc_hook=str).decode()


def to_plain(line: Line) -> str:
    """Text for people. A field can never begin a new line; an exception's traceback follows indented."""
    spans = ":".join(_plain_span(span) for span in line.spans)
    fields = "".join(f" {key}={_plain_value(value)}" for key, value in line.fields.items())
    head = f"{line.timestamp} {line.level:>5} {spans + ': ' if spans else ''}{line.target}:"
    text = f"{head} {_one_line(line.message)}{fields}"
    if line.exception is not None:
        text += "\n" + "\n".join(f"    {row}" for row in line.exception.splitlines())
    return text


_RENDERERS: dict[LogFormat, Callable[[Line], str]] = {LogFormat.PLAIN: to_plain, LogFormat.JSON: to_json}


def _plain_span(span: Span) -> str:
    if not span.fields:
        return span.name
    return f"{span.name}{{{' '.join(f'{key}={_plain_value(value)}' for key, value in span.fields)}}}"


def _plain_value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else _quoted(text)


def _one_line(text: str) -> str:
    return text if text.isprintable() else _quoted(text)[1:-1]


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _describe_exception(_: Target, __: str, fields: Fields) -> Fields:
    given = fields.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        fields["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return fields


def _render(target: Target, level: str, fields: Fields) -> str:
    if target.sink is None:
        return ""
    message = str(fields.pop("event", ""))
    exception = fields.pop("exception", None)
    return target.sink.renderer(Line(_now(), level, target.name, message, fields, _spans.get(), exception))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# Python's levels, by ours. Its "debug" is as far down as the dependencies go.
_STANDARD = {
    Level.OFF: logging.CRITICAL + 1,
    Level.ERROR: logging.ERROR,
    Level.WARN: logging.WARNING,
    Level.INFO: logging.INFO,
    Level.DEBUG: logging.DEBUG,
    Level.TRACE: logging.DEBUG,
}


class _StandardHandler(logging.Handler):
    """Writes the records of the standard library's loggers as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        target = _registry.target(record.name)
        level = _level_of(record.levelno)
        if level > target.level or target.sink is None:
            return
        fields: Fields = {"event": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        target.sink.write(_render(target, level.name, _describe_exception(target, level.name, fields)))


def _level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return Level.ERROR
    if number >= logging.WARNING:
        return Level.WARN
    return Level.INFO if number >= logging.INFO else Level.DEBUG
