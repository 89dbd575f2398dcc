"""Act 6: the API server breaks in four ways, and the controller stays right."""

from __future__ import annotations

from typing import Any

from controller.cli.demo.inbound_acts import AUTHORIZATION, NOBODY, ONLY_WEB
from controller.cli.demo.play import Play, Proxy
from controller.cli.demo.stage import MAX_STALENESS, http_get
from controller.grpc.gen.linkerd import inbound_pb2
from controller.k8s.kinds import WATCHED

KINDS = len(WATCHED)
WELL, UNWELL = 200, 500


async def act_outage(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.act(
        6,
        "The API server breaks",
        "In four ways, and each time something changes that the controller cannot see happen. api-0's proxy has the "
        "stream that it opened in act 1, to the end.",
    )
    for misfortune in (_history_is_lost, _connections_are_cut, _requests_fail, _silence):
        await play.until(lambda kinds: all(kind["state"] == "watching" for kind in kinds), "every kind is watched")
        await misfortune(play, proxy)
        play.stage.server.faults.clear()


async def _history_is_lost(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.broken("410 Gone: history is lost. A list says what exists; what is gone has to be found out.")
    lists = _total(await play.stage.freshness(), "resets")
    play.stage.server.compact()
    play.stage.server.faults.add("gone", "watch", times=KINDS, event=True)
    written = await play.delete(AUTHORIZATION)
    await play.told(proxy, written, NOBODY)
    kinds = await play.until(lambda kinds: _total(kinds, "resets") >= lists + KINDS, "every kind is listed anew")
    play.silent()
    play.screen.noted(
        f"{_total(kinds, 'resets') - lists} kinds are listed anew, each within a second, lest all come at once; "
        "nothing else is told"
    )


async def _connections_are_cut(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.broken("Every connection is cut, in the middle of a line.")
    play.stage.server.faults.add("cut", "watch", times=KINDS)
    written = await play.apply(AUTHORIZATION, again=True)
    await play.told(proxy, written, ONLY_WEB)


async def _requests_fail(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.broken("500: every list and every watch fails.")
    faults = play.stage.server.faults
    faults.add("error", "list", times=None, code=UNWELL)
    faults.add("error", "watch", times=None, code=UNWELL)
    faults.add("cut", "watch", times=KINDS)
    await play.until(lambda kinds: not any(kind["state"] == "watching" for kind in kinds), "every watch has failed")
    await play.delete(AUTHORIZATION)
    play.expect(await play.ask_once("payments", "api-0", 8080), ONLY_WEB)
    play.silent()
    play.screen.noted("streams stay open; who asks now is told what was known last")
    faults.clear()
    await play.told(proxy, play.now(), NOBODY, after="the API server is well again")


async def _silence(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.broken("Silence: connections stay open, and nothing comes.")
    play.stage.server.faults.add("stall", "watch", times=KINDS)
    await play.apply(AUTHORIZATION, again=True)
    stale = await play.until(lambda kinds: _freshest(kinds) > MAX_STALENESS, "the controller notices the silence")
    play.silent()
    play.screen.noted(f"/debug/freshness: nothing was heard of any of {len(stale)} kinds for {_freshest(stale):.1f} s")
    status, body = await http_get(play.stage.admin, "/ready/freshness")
    play.check(status == UNWELL, f"/ready/freshness says {status}")
    first, *others = body.decode().strip().split(", ")
    play.check(first.startswith("not ready: ") and len(others) == KINDS - 1, f"/ready/freshness says {body.decode()}")
    play.screen.noted(f"/ready/freshness: {first}, …")
    play.stage.server.faults.clear()
    await play.told(proxy, play.now(), ONLY_WEB, after="the API server speaks again")
    await play.until(lambda kinds: max(float(kind["staleness"]) for kind in kinds) < 1, "every kind is fresh")
    status, body = await http_get(play.stage.admin, "/ready/freshness")
    play.check(status == WELL, f"/ready/freshness says {status}")
    play.screen.noted(f"/ready/freshness: {body.decode().strip()}")


def _total(kinds: list[dict[str, Any]], counter: str) -> int:
    return sum(int(kind[counter]) for kind in kinds)


def _freshest(kinds: list[dict[str, Any]]) -> float:
    return min(float(kind["staleness"]) for kind in kinds)
