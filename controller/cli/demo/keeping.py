"""`--keep`: after the acts everything stays up, for the hands of whoever watches."""

from __future__ import annotations

import datetime as dt
from typing import Any

import trio

from controller.cli.demo.grpc_client import Refused
from controller.cli.demo.play import Play, Proxy
from controller.grpc.inbound import SERVICE as INBOUND
from controller.grpc.outbound import SERVICE as OUTBOUND
from controller.k8s.kinds import WATCHED

_PAUSE = 1.0  # seconds until a proxy asks again whose stream has ended


def suggest(play: Play) -> None:
    """Print what to try."""
    stage, screen = play.stage, play.screen
    screen.say(
        "Everything stays up until Ctrl-C. Change what you like: what the two proxies are told appears here. In "
        "another terminal:"
    )
    screen.hint(
        "kubectl, for the embedded API server",
        f"export KUBECONFIG={stage.kubeconfig}",
        "kubectl get pods,services,servers,authorizationpolicies,egressnetworks -A",
        "kubectl -n payments delete authorizationpolicy shop-may-pay",
        "kubectl -n payments get httproutes.policy.linkerd.io pay -o yaml   # its status",
        "kubectl -n payments get servers -w",
    )
    port = '{"workload": "payments:api-1", "port": 8080}'
    name = '{"source_workload": "shop:web-1", "authority": "api.payments.svc.cluster.local:8080"}'
    screen.hint(
        "grpcurl, as one proxy more",
        f"grpcurl -plaintext -d '{port}' {stage.grpc} {INBOUND}/WatchPort",
        f"grpcurl -plaintext -d '{name}' {stage.grpc} {OUTBOUND}/Watch",
    )
    stall = f'{{"effect": "stall", "verb": "watch", "times": {len(WATCHED)}}}'
    screen.hint(
        "curl, for the controller's insides, and to break the API server",
        f"curl '{stage.admin}/ready?verbose'",
        f"curl '{stage.admin}/debug/freshness?kind=Server'",
        f"curl {stage.admin}/metrics",
        f"curl -d '{stall}' {stage.url}/-/faults",
        f"curl -X DELETE {stage.url}/-/faults   # it behaves again",
    )


async def follow(play: Play) -> None:
    """Show what proxies are told, until cancelled."""
    async with trio.open_nursery() as nursery:
        for proxy in play.proxies:
            nursery.start_soon(_follow, play, proxy)


async def _follow(play: Play, proxy: Proxy[Any]) -> None:
    who = f"{proxy.name}'s proxy"
    last_end = ""
    while True:
        try:
            told = await proxy.call.next()
        except Refused as end:
            when = _clock()
            await trio.sleep(_PAUSE)
            if str(end) != last_end:  # it may be refused for as long as it asks
                play.screen.noted(f"{when} the stream of {who} has ended with {end}; it asks again")
            last_end = str(end)
            proxy.ask_again()
        else:
            last_end = ""
            play.screen.told(who, _clock(), proxy.rows(told.message))


def _clock() -> str:
    return f"{dt.datetime.now().astimezone():%H:%M:%S}"
