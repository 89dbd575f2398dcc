"""`trellis run`: from flags to a running controller, and from its end to an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import cast

from controller.app_config import RunConfig


@contextlib.contextmanager
def _as_if_not_installed(*names: str) -> Generator[None]:
    """Import in this block without what these would add.

    structlog and httpx each import rich, when they find it, for development consoles and a command of their own that
    nobody needs here. That is a third of the time in which the process could start.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # means: there is no such module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _as_if_not_installed("rich", "click", "pygments"):
    import trio

    from controller import app
    from controller.runtime import log
    from controller.runtime.certs import CertificateError
    from controller.runtime.endpoint import BadConfiguration
    from controller.runtime.errors import KubernetesError
    from controller.runtime.listen import BindError
    from controller.runtime.shutdown import ShutdownError

_log = log.get_logger(__name__)

# What an operator can do something about; the message says what, and a traceback would hide it.
_EXPLAINED = (BadConfiguration, BindError, CertificateError, KubernetesError, ShutdownError)


def run_controller(config: RunConfig) -> int:
    """Run until the controller ends: 0 if it was told to and did, else 1 and the reason on standard error."""
    with log.configured(config.log_filter, config.log_format):
        try:
            trio.run(app.run, config)
        except Exception as failure:  # noqa: BLE001  # the last to hear of it
            for error in _leaves(failure):
                _report(error)
            return 1
        _log.info("stopped")
    return 0


def _report(error: Exception) -> None:
    explained = isinstance(error, _EXPLAINED)
    reason = str(error) if explained else f"{type(error).__name__}: {error}"
    _log.error("stopped", reason=reason, exc_info=None if explained else error)
    print(f"trellis: {reason}", file=sys.stderr)


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for part in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(part)
    else:
        yield error
