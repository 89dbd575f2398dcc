"""Asks for one port again and again, as proxies do that come and go, and counts who got no answer.

    python asker.py ADDRESSES WORKLOAD PORT SECONDS

ADDRESSES are HOST:PORT, comma separated; a host may stand for several addresses. Each question is asked over a new
connection. Where that breaks, and where an answer is UNAVAILABLE, the next address is tried, as a proxy would do; any
other answer that says no is final. At the end one line of JSON says how many questions were asked, and what went wrong
with those that nobody answered.

Runs where Trellis is installed, on asyncio and grpclib's client, which share nothing with its server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from controller.grpc.gen.linkerd.inbound_grpc import InboundServerPoliciesStub
from controller.grpc.gen.linkerd.inbound_pb2 import PortSpec

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 2.0


async def resolve(addresses: str) -> list[tuple[str, int]]:
    """Every address that the names stand for now, in any order."""
    found = set[tuple[str, int]]()
    for address in addresses.split(","):
        host, _, port = address.rpartition(":")
        for *_, sockaddr in await asyncio.get_running_loop().getaddrinfo(host, int(port)):
            found.add((str(sockaddr[0]), int(sockaddr[1])))
    return random.sample(sorted(found), len(found))


async def ask(host: str, port: int, question: PortSpec) -> None:
    channel = Channel(host, port)
    try:
        await InboundServerPoliciesStub(channel).GetPort(question, timeout=PATIENCE_SECONDS)
    finally:
        channel.close()


async def answered(addresses: str, question: PortSpec) -> str:
    """Ask whoever can be reached. Returns what went wrong, and nothing if somebody answered."""
    broken = list[str]()
    for host, port in await resolve(addresses):
        try:
            await ask(host, port, question)
        except (TimeoutError, OSError, StreamTerminatedError) as error:
            broken.append(f"{host}:{port} {type(error).__name__}: {error}")
        except GRPCError as error:
            broken.append(f"{host}:{port} {error.status.name}: {error.message}")
            if error.status is not Status.UNAVAILABLE:
                break
        else:
            return ""
    return "; ".join(broken) or "no address"


async def main(addresses: str, workload: str, port: int, seconds: float) -> None:
    question = PortSpec(workload=workload, port=port)
    loop = asyncio.get_running_loop()
    end, asked, failures = loop.time() + seconds, 0, list[str]()
    print("asking", flush=True)
    while loop.time() < end:
        asked += 1
        if failure := await answered(addresses, question):
            failures.append(failure)
        await asyncio.sleep(PAUSE_SECONDS)
    print(json.dumps({"asked": asked, "failures": failures}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
