"""The `trellis` command."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def obey_sigterm() -> None:
    """End at SIGTERM from the first moment on; whoever drains something takes over later.

    Importing takes half a second, and the kernel drops a signal of the first process of a container that has no handler
    for it: Kubernetes would wait out the grace period and then kill.
    """
    signal.signal(signal.SIGTERM, _leave)


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its code."""
    if sys.argv[1:2] == ["run"]:
        obey_sigterm()
    from controller.cli.app import main as run_command  # noqa: PLC0415  # keeps `import controller.__main__` light

    sys.exit(run_command(sys.argv[1:]))


def policy_controller() -> NoReturn:
    """Stand in for Linkerd's program `linkerd-policy-controller`: its arguments are those of `trellis run`.

    So that an image needs only one entry point, the commands of `trellis` are understood, too.
    """
    obey_sigterm()
    from controller.cli.app import main as run_command  # noqa: PLC0415  # as above

    arguments = sys.argv[1:]
    is_command = bool(arguments) and (arguments[0] == "--version" or not arguments[0].startswith("-"))
    sys.exit(run_command(arguments if is_command else ["run", *arguments]))


if __name__ == "__main__":
    main()
