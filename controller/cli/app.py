"""The command line: which command runs, what it prints, and with which code it exits.

Exit codes: 0 for success; 1 for an error, and for a stop that was not a clean one; 2 for a command line that makes no
sense; 130 for an interrupt outside `trellis run`, which handles its signals itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from controller.cli.flag import Usage
from controller.cli.limit_flags import NO_LIMIT_FLAGS, LimitFlags
from controller.cli.manifest_flags import DAYS, NO_MANIFEST_FLAGS, ManifestFlags, to_days, to_namespace
from controller.cli.run_flags import RunFlags, to_run_config


def installed_version() -> str:
    """Return the version of the distribution that this is."""
    import importlib.metadata  # noqa: PLC0415  # slow, and of no use to the other commands

    try:
        return importlib.metadata.version("trellis")
    except importlib.metadata.PackageNotFoundError:
        return "0 (not installed)"


app = cyclopts.App(
    name="trellis",
    help="A policy controller for the Linkerd service mesh.",
    version=installed_version,
    version_flags=["--version"],
    default_parameter=Parameter(negative=""),
    result_action="return_value",
)


_NO_FLAGS = RunFlags()


@app.command
def run(flags: RunFlags = _NO_FLAGS, limits: LimitFlags = NO_LIMIT_FLAGS) -> int:
    """Run the controller until a signal ends it.

    SIGTERM or SIGINT: streams end and the process exits with 0. A second one ends it at once, with 1.
    """
    from controller.runtime import memory  # noqa: PLC0415

    memory.begin()
    from controller.cli.run import run_controller  # noqa: PLC0415  # all of the controller; other commands need little

    return run_controller(to_run_config(flags, os.environ, limits))


@app.command
def crds(
    *, gateway_api: Annotated[bool, Parameter(help="Also print stand-ins for the Gateway API's kinds.")] = False
) -> int:
    """Print the CustomResourceDefinitions of Linkerd's policy kinds, as YAML."""
    from controller.k8s.crds import crds_yaml  # noqa: PLC0415  # as above

    print(crds_yaml(gateway_api=gateway_api), end="")
    return 0


@app.command
def demo(
    *, keep: Annotated[bool, Parameter(help="Stay up afterwards, and say what to try with kubectl and others.")] = False
) -> int:
    """Show the controller at work, without a cluster.

    An embedded API server and gRPC clients in place of proxies, all in this process, on loopback. Exits with 1 if
    anything is not as it has to be.
    """
    from controller.cli.demo.demo import run_demo  # noqa: PLC0415  # all of the controller, and more

    return run_demo(keep=keep)


@app.command
def manifests(
    *arguments: Annotated[str, Parameter(help="After `--`: more arguments for `trellis run`.")],
    flags: ManifestFlags = NO_MANIFEST_FLAGS,
) -> int:
    """Print what to apply so that Trellis runs in a cluster, as YAML.

    trellis manifests | kubectl apply --server-side -f -
    """
    from controller.cli.manifests import print_manifests  # noqa: PLC0415  # as above

    return print_manifests(flags, arguments, installed_version(), _check_run)


def _check_run(arguments: Sequence[str]) -> None:
    """Raise what a controller with these arguments would end with."""
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    if command is not run:
        raise Usage(f"{' '.join(arguments)} is not a controller to run")
    to_run_config(bound.arguments.get("flags", _NO_FLAGS), {}, bound.arguments.get("limits", NO_LIMIT_FLAGS))


@app.command
def certificate(
    folder: Annotated[Path, Parameter(help="Where to write tls.crt, tls.key and ca.crt.")],
    /,
    *,
    namespace: Annotated[str, Parameter(help="Where Trellis is to run.", converter=to_namespace)] = "trellis",
    days: Annotated[int, Parameter(help="For how long it is good.", converter=to_days)] = DAYS,
) -> int:
    """Make a certificate for the webhook, for `trellis manifests --webhook-tls FOLDER`."""
    from controller.cli.certificate import make_certificate, write_certificate  # noqa: PLC0415  # as above

    write_certificate(make_certificate(namespace, days=days), folder)
    return 0


@app.command
def version() -> int:
    """Print the version."""
    print(installed_version())
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code. Complaints are one line, on standard error."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except (cyclopts.CycloptsError, Usage) as error:
        print(f"trellis: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    return code if isinstance(code, int) else 0  # help is not a command of ours


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
