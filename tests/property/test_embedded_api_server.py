"""What lists and watches of the embedded API server tell is what was written, whoever asks when and for what."""

from __future__ import annotations

import json
import random
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.apiserver.api import run
from controller.apiserver.requests import Request, Response, parse_query
from controller.apiserver.serving import ApiServer
from controller.apiserver.store import Store
from controller.apiserver.watching import Watch

Json = Any
State = dict[tuple[str, str], tuple[str, str]]  # by namespace and name: the revision and the color

NAMESPACES = ("default", "kube-system")
COLORS = ("red", "blue", "green")
SELECTORS = ("", "color=red", "color!=red", "color in (red,blue)", "missing")


def selected(color: str, selector: str) -> bool:
    match selector:
        case "":
            return True
        case "color=red":
            return color == "red"
        case "color!=red":
            return color != "red"
        case "color in (red,blue)":
            return color in ("red", "blue")
    return False


@attrs.define(eq=False)
class Follower:
    """A client that lists, and then watches from there."""

    namespace: str
    selector: str
    watch: Watch
    known: State
    last: int
    expired: bool = False

    def take(self, limit: int) -> int:
        lines = self.watch.pull(limit)
        for line in lines:
            event = json.loads(line)
            value = event["object"]
            if event["type"] == "ERROR":
                assert value["code"] == 410
                self.expired = True
                continue
            meta = value["metadata"]
            key, revision = (meta["namespace"], meta["name"]), int(meta["resourceVersion"])
            assert revision > self.last, "events come in order, each once"
            self.last = revision
            if event["type"] == "ADDED":
                assert key not in self.known
            else:
                assert key in self.known
            if event["type"] == "DELETED":
                del self.known[key]
            else:
                self.known[key] = (meta["resourceVersion"], meta["labels"]["color"])
        return len(lines)


class World:
    """A server with a few objects, a model of all that it has ever held, and clients that follow it."""

    def __init__(self, seed: int, history: int) -> None:
        self.random = random.Random(seed)
        self.server = ApiServer(store=Store(history=history), controllers=False)
        self.state: State = {}
        self.past: dict[int, State] = {self.server.store.revision: {}}
        self.followers: list[Follower] = []

    def ask(self, method: str, path: str, query: str = "", body: Json = None) -> Any:
        return run(
            self.server.api.handle(
                Request(
                    method=method,
                    path=path,
                    query=parse_query(query),
                    headers={"content-type": "application/json"},
                    body=b"" if body is None else json.dumps(body).encode(),
                )
            )
        )

    def write(self) -> None:
        namespace, name = self.random.choice(NAMESPACES), f"m{self.random.randrange(5)}"
        base = f"/api/v1/namespaces/{namespace}/configmaps"
        color, key = self.random.choice(COLORS), (namespace, name)
        body = {"metadata": {"name": name, "labels": {"color": color}}, "data": {"n": str(self.random.random())}}
        if key not in self.state:
            answer = self.ask("POST", base, body=body)
        elif self.random.random() < 0.4:
            answer = self.ask("DELETE", f"{base}/{name}")
            color = ""
        else:
            answer = self.ask("PUT", f"{base}/{name}", body=body)
        assert answer.status in (200, 201)
        if color:
            revision = json.loads(answer.body)["metadata"]["resourceVersion"]
            self.state[key] = (revision, color)
        else:
            del self.state[key]
        self.past[self.server.store.revision] = dict(self.state)

    def expected(self, state: State, namespace: str, selector: str) -> State:
        return {
            key: value
            for key, value in sorted(state.items())
            if namespace in ("", key[0]) and selected(value[1], selector)
        }

    def path(self, namespace: str) -> str:
        return f"/api/v1/namespaces/{namespace}/configmaps" if namespace else "/api/v1/configmaps"

    def list(self, namespace: str, selector: str, query: str = "", *, writes: int = 0) -> tuple[int, State, str]:
        """List in pages of random size, writing between them; the last status, the objects and the revision."""
        found: State = {}
        order: list[tuple[str, str]] = []
        more, revision = "", ""
        while True:
            limit = self.random.choice((0, 1, 2, 3))
            page = f"{query}&labelSelector={selector}&limit={limit}" + (f"&continue={more}" if more else "")
            answer = self.ask("GET", self.path(namespace), page.lstrip("&"))
            assert isinstance(answer, Response)
            if answer.status != 200:
                return answer.status, {}, ""
            value = json.loads(answer.body)
            for item in value["items"]:
                meta = item["metadata"]
                order.append((meta["namespace"], meta["name"]))
                found[order[-1]] = (meta["resourceVersion"], meta["labels"]["color"])
            revision = value["metadata"]["resourceVersion"]
            more = value["metadata"].get("continue", "")
            if not more:
                assert order == sorted(set(order)), "in order, each once"
                return 200, found, revision
            query = ""
            for _ in range(self.random.randrange(writes + 1)):
                self.write()

    def follow(self) -> None:
        namespace, selector = self.random.choice(("", *NAMESPACES)), self.random.choice(SELECTORS)
        status, known, revision = self.list(namespace, selector, writes=2)
        if status == 410:
            return
        watch = self.ask("GET", self.path(namespace), f"watch=1&labelSelector={selector}&resourceVersion={revision}")
        assert isinstance(watch, Watch)
        self.followers.append(Follower(namespace, selector, watch, known, int(revision)))

    def look_back(self) -> None:
        """An exact list of the past is what was then, or 410 if that is forgotten."""
        revision = self.random.choice(list(self.past))
        namespace, selector = self.random.choice(("", *NAMESPACES)), self.random.choice(SELECTORS)
        forgotten = revision < self.server.store.compacted
        query = f"resourceVersion={revision}&resourceVersionMatch=Exact"
        status, found, told = self.list(namespace, selector, query)
        if forgotten:
            assert status == 410
        else:
            assert (status, told) == (200, str(revision))
            assert found == self.expected(self.past[revision], namespace, selector)

    def step(self) -> None:
        match self.random.randrange(10):
            case 0:
                self.follow()
            case 1 | 2:
                self.look_back()
            case 3 | 4 if self.followers:
                self.random.choice(self.followers).take(self.random.choice((1, 2, 500)))
            case 5 if self.random.random() < 0.1:
                self.server.compact()
            case _:
                self.write()

    def settle(self) -> None:
        for follower in self.followers:
            while follower.take(self.random.choice((1, 3, 500))):
                pass
            if not follower.expired:
                assert follower.known == self.expected(self.state, follower.namespace, follower.selector)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), history=st.sampled_from((5, 20, 1000)), steps=st.integers(1, 120))
def test_followers_know_what_was_written(seed: int, history: int, steps: int) -> None:
    """Lists are snapshots, also page by page; watches tell every change of what they select, in order, once.

    A client that lists and watches knows the present after each event, or is told 410 because it is too far behind.
    """
    world = World(seed, history)
    for _ in range(steps):
        world.step()
    world.settle()
