"""No request makes the embedded API server fail, however little sense it makes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.apiserver.api import run
from controller.apiserver.requests import Request, Response, parse_query
from controller.apiserver.serving import ApiServer
from tests.contract.servers import APPLY, CRDS, JSON_PATCH, MERGE, STRATEGIC, config_map, deployment, pod, service
from tests.contract.widgets import WIDGETS, widget

Json = Any
Path = tuple[str | int, ...]

GROUP = "junk.test"
DEFINITION = json.loads(json.dumps(WIDGETS).replace("GROUP", GROUP))
RULE = {"operations": ["CREATE"], "apiGroups": ["none.test"], "apiVersions": ["*"], "resources": ["*"]}
HOOK = {
    "name": "a.junk.test",
    "clientConfig": {"url": "https://junk.test/"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "rules": [RULE],
}
NAMED: Json = {"metadata": {"name": "a"}}
LEASE = {"holderIdentity": "x", "leaseDurationSeconds": 3, "renewTime": "2020-01-01T00:00:00.000000Z"}
RBAC = "rbac.authorization.k8s.io"
OBJECTS: dict[str, Json] = {
    "/api/v1/namespaces/default/pods": pod("a"),
    "/api/v1/namespaces/default/services": service("a"),
    "/api/v1/namespaces/default/configmaps": config_map("a", {"k": "1"}),
    "/api/v1/namespaces/default/secrets": {**NAMED, "stringData": {"k": "1"}},
    "/api/v1/namespaces/default/events": {**NAMED, "involvedObject": {"namespace": "default", "name": "x"}},
    "/api/v1/namespaces": NAMED,
    "/apis/apps/v1/namespaces/default/deployments": deployment("a", {"name": "c", "image": "i:1"}),
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": {**NAMED, "spec": LEASE},
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations": {**NAMED, "webhooks": [HOOK]},
    f"/apis/{RBAC}/v1/clusterroles": {**NAMED, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]},
    f"/apis/{GROUP}/v1/namespaces/default/widgets": widget("a", GROUP, size=2, parts=[{"name": "x"}]),
    CRDS: json.loads(json.dumps(WIDGETS).replace("GROUP", "other.test")),
}
JUNK: list[Json] = [
    None, True, False, 0, -1, 1, 1.5, 1e30, 10**30, "", "a", "A b", "1", "2020-01-01T00:00:00Z", "\0", "é" * 300, [],
    {}, [None], {"a": None}, [[]], ["a", "a"], {"name": "x"}, [{"name": "x"}, {"name": "x"}], {"$patch": "delete"},
    [{"$patch": "delete", "name": "c"}], {"$patch": "replace"},
]  # fmt: skip
FIELDS = ("name", "metadata", "spec", "status", "finalizers", "ports", "$patch", "$setElementOrder/containers", "x")
QUERIES = ("", "dryRun=All", "fieldValidation=Strict", "fieldValidation=Ignore", "fieldManager=m", "force=true")
SELECTORS = (
    "labelSelector=", "labelSelector=a in (b", "labelSelector=!a", "fieldSelector=metadata.name=a", "fieldSelector=x,y",
    "limit=-1", "limit=1", "continue=x", "resourceVersion=-1", "resourceVersion=1", "watch=1&timeoutSeconds=x",
    "watch=1&sendInitialEvents=true", "resourceVersionMatch=Exact", "resourceVersion=1&resourceVersionMatch=Exact",
)  # fmt: skip


def paths(value: Json, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


class Fool:
    """A client that understands nothing."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.server = ApiServer(controllers=False)
        self.ask("POST", CRDS, "", json.dumps(DEFINITION).encode(), "application/json")

    def ask(self, method: str, path: str, query: str, body: bytes, content_type: str) -> Any:
        headers = {"content-type": content_type}
        request = Request(method=method, path=path, query=parse_query(query), headers=headers, body=body)
        return run(self.server.api.handle(request))

    def spoil(self, value: Json) -> Json:
        """A copy with something wrong in it, or several things."""
        spoilt = copy.deepcopy(value)
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3))):
            if not (places := [path for path in paths(spoilt) if path]):
                break
            *way, last = self.random.choice(places)
            parent = spoilt
            for step in way:
                parent = parent[step]
            junk = copy.deepcopy(self.random.choice(JUNK))
            match self.random.randrange(5):
                case 0:
                    del parent[last]
                case 1 if isinstance(parent, dict):
                    parent[self.random.choice(FIELDS)] = junk
                case _:
                    parent[last] = junk
        return spoilt

    def operations(self, value: Json) -> Json:
        """A JSON patch of some kind."""
        pointers = ["/" + "/".join(map(str, path)) for path in paths(value)]
        kinds = ("add", "remove", "replace", "test", "move", "copy")
        return self.spoil(
            [
                {
                    "op": self.random.choice(kinds),
                    "path": self.random.choice(pointers),
                    "from": self.random.choice(pointers),
                    "value": self.random.choice(JUNK),
                }
            ]
        )

    def act(self) -> Any:
        base, value = self.random.choice(list(OBJECTS.items()))
        query = self.random.choice(QUERIES)
        body = self.spoil(value)
        match self.random.randrange(11):
            case 0 | 1 | 2:
                return self.send("POST", base, query, body)
            case 3 | 4:
                return self.send("PUT", f"{base}/a", query, body)
            case 5 | 6:
                kind = self.random.choice((MERGE, STRATEGIC, APPLY))
                return self.send("PATCH", f"{base}/a", f"{query}&fieldManager=m", body, kind)
            case 7:
                return self.send("PATCH", f"{base}/a", query, self.operations(value), JSON_PATCH)
            case 8:
                status = {**value, "status": self.random.choice(JUNK)}
                return self.send(self.random.choice(("PUT", "PATCH")), f"{base}/a/status", query, status, MERGE)
            case 9:
                field = self.random.choice(("propagationPolicy", "preconditions", "gracePeriodSeconds", "dryRun"))
                return self.send("DELETE", f"{base}/a", query, {field: self.random.choice(JUNK)})
            case _:
                return self.ask("GET", base, self.random.choice(SELECTORS), b"", "")

    def send(self, method: str, path: str, query: str, body: Json, content_type: str = "application/json") -> Any:
        data = bytearray(json.dumps(body).encode())
        if self.random.random() < 0.05:
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        return self.ask(method, path, query, bytes(data), content_type)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_every_request_is_answered(seed: int) -> None:
    """Whatever comes in, an answer goes out, and what is stored can still be listed."""
    fool = Fool(seed)
    for _ in range(100):
        fool.act()
    for base in OBJECTS:
        answer = fool.ask("GET", base, "", b"", "")
        assert isinstance(answer, Response)
        assert (answer.status, json.loads(answer.body)["kind"][-4:]) == (200, "List")
