"""The demo from its first line to its exit code."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import attrs
import trio

from controller import app
from controller.app_config import RunConfig
from controller.cli.demo.application import manifests
from controller.cli.demo.inbound_acts import act_authorization, act_default, act_route, act_server
from controller.cli.demo.keeping import follow, suggest
from controller.cli.demo.outage_act import act_outage
from controller.cli.demo.outbound_acts import act_outbound
from controller.cli.demo.play import PATIENCE, Play, Unmet
from controller.cli.demo.screen import Screen
from controller.cli.demo.stage import open_stage
from controller.runtime import log
from controller.runtime.log_filter import LogFilter, LogFormat

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOG_FILTER = LogFilter.parse("info,httpx=warn")
_LEASE = "/apis/coordination.k8s.io/v1/namespaces/linkerd/leases/policy-controller-write"
_LAST_LINES = 10
_AFTERTHOUGHT = 1.0  # seconds


def run_demo(*, keep: bool) -> int:
    """Play the demo, and return 0 if everything was as it has to be."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # whatever a terminal cannot show
    screen = Screen(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="trellis-demo-") as name:
        log_file = Path(name) / "trellis.log"
        with log_file.open("w") as output, log.configured(_LOG_FILTER, LogFormat.PLAIN, output=output):
            try:
                code = trio.run(Demo(screen, Path(name), keep=keep).run)
            except Exception as failure:  # noqa: BLE001  # the last to hear of it
                code = _explain(failure, screen)
        if code not in (0, INTERRUPTED):
            screen.hint("The last lines of the controller's log:", *log_file.read_text().splitlines()[-_LAST_LINES:])
    return code


def _explain(failure: Exception, screen: Screen) -> int:
    for error in _leaves(failure):
        if isinstance(error, BrokenPipeError):
            raise error
        screen.failed(str(error) if isinstance(error, Unmet) else f"{type(error).__name__}: {error}")
    return 1


@attrs.define(eq=False)
class Demo:
    """One performance."""

    _screen: Screen
    _folder: Path
    _keep: bool = attrs.field(alias="keep", kw_only=True)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _is_over: bool = attrs.field(default=False, init=False)  # the acts are, and the controller may end
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)  # the controller has

    async def run(self) -> int:
        """Play everything, and return the exit code. A signal ends the controller, and its end the rest."""
        with self._scope:
            async with trio.open_nursery() as outermost:
                await outermost.start(self._obey_signals)
                async with trio.open_nursery() as inner:
                    await self._play(outermost, inner)
                    inner.cancel_scope.cancel()
                outermost.cancel_scope.cancel()
            return 0
        self._screen.end("Interrupted.")
        return INTERRUPTED

    async def _obey_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Obey those that come while no controller runs, which takes them over for itself."""
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            async for _ in signals:
                self._scope.cancel()

    async def _run_controller(self, config: RunConfig) -> None:
        await app.run(config)
        self._ended.set()
        if not self._is_over:
            self._scope.cancel()

    async def _play(self, outer: trio.Nursery, inner: trio.Nursery) -> None:
        started = time.perf_counter()
        self._screen.title("trellis demo", "Linkerd policy at work, without a cluster")
        stage = await open_stage(self._folder, outer, inner, self._run_controller)
        kinds = [line.removeprefix("kind: ") for line in manifests().splitlines() if line.startswith("kind: ")]
        pods, services = kinds.count("Pod"), kinds.count("Service")
        self._screen.fact("API server", f"embedded, at {stage.url}; {pods} pods of the mesh and {services} Services")
        self._screen.fact("controller", f"the one of `trellis run`; knew all of it after {stage.listed_after:.1f} s")
        self._screen.fact("proxies", f"gRPC clients of {stage.grpc}")
        self._screen.fact("", "All three are in this process, and speak to each other over HTTP. Times are from the")
        self._screen.fact("", "moment in which a change is sent to the API server until the answer is at the proxy.")
        play = Play(stage, self._screen)
        try:
            await self._acts(play)
        except Exception:
            # A signal ends the controller, and streams with it, before it ends the demo: this is where that is awaited.
            await trio.sleep(_AFTERTHOUGHT)  # noqa: ASYNC120  # then the signal is what counts
            raise
        played = time.perf_counter() - started
        self._is_over = True
        if not self._keep:
            await self._close(play)
        self._screen.end(f"{play.checks} expectations, all met, in {played:.1f} s.")
        if self._keep:
            await self._keep_up(play)
            self._screen.end("Ended.")

    async def _acts(self, play: Play) -> None:
        proxy = await act_default(play)
        await act_server(play, proxy)
        await act_authorization(play, proxy)
        await act_route(play, proxy)
        await act_outbound(play)
        await act_outage(play, proxy)

    async def _keep_up(self, play: Play) -> None:
        suggest(play)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, play)
            await self._ended.wait()
            nursery.cancel_scope.cancel()

    async def _close(self, play: Play) -> None:
        """See that the controller takes its leave as it should."""
        self._screen.act(7, "The end", "The controller gets SIGTERM, as from Kubernetes.")
        os.kill(os.getpid(), signal.SIGTERM)
        for proxy in play.proxies:
            await play.ended(proxy)
        with trio.move_on_after(PATIENCE):
            await self._ended.wait()
        play.check(self._ended.is_set(), "the controller has not ended")
        lease = await play.get(_LEASE)
        play.check(not lease["spec"].get("holderIdentity"), "the Lease was not given up")
        self._screen.noted("every stream has ended with OK; the Lease is free for the next controller")


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for part in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(part)
    else:
        yield error
