"""Run the embedded API server by itself: `python -m controller.apiserver [--port N] [--kubeconfig FILE] [FILE ...]`."""

from __future__ import annotations

import argparse
import functools
import signal
from pathlib import Path

import trio

from controller.apiserver.serving import ApiServer, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m controller.apiserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--kubeconfig", type=Path, help="write a kubeconfig here when the server listens")
    parser.add_argument(
        "--bare", action="store_true", help="leave deletions unfinished, as without cluster controllers"
    )
    parser.add_argument("manifests", nargs="*", type=Path, help="files to begin with, JSON or YAML")
    options = parser.parse_args()
    server = ApiServer(controllers=not options.bare)
    for path in options.manifests:
        server.seed(path.read_bytes())
    trio.run(_serve, server, options.port, options.kubeconfig)


async def _serve(server: ApiServer, port: int, kubeconfig: Path | None) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(functools.partial(serve, server, port=port))
            if kubeconfig is not None:
                server.write_kubeconfig(kubeconfig)
            print(url, flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


if __name__ == "__main__":
    main()
