"""The `trellis` command."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its code."""
    from controller.cli.app import main as run_command  # noqa: PLC0415  # keeps `import controller.__main__` light

    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
