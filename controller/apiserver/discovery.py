"""Which groups, versions and resources there are, in the old form and in the aggregated one; and the small talk
of an API server: its version and whether it is well."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from controller.apiserver.catalog import Catalog
from controller.apiserver.kinds import Kind, Version
from controller.apiserver.requests import Request, Response, respond
from controller.apiserver.status import Object

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+trellis",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_AGGREGATED = ("application/json", "g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList")


def answer(catalog: Catalog, request: Request) -> Response | None:
    """The answer to a question about the server itself; None if the path is none."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["version"]:
            return respond(VERSION)
        case ["healthz" | "livez" | "readyz", *_]:
            return Response(200, b"ok", media_type="text/plain; charset=utf-8")
        case []:
            return respond({"paths": sorted(_paths(catalog))})
        case ["api"]:
            if _wants_aggregated(request):
                return _aggregated(catalog, core=True)
            return respond({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        case ["apis"]:
            if _wants_aggregated(request):
                return _aggregated(catalog, core=False)
            groups = [_group(name, versions) for name, versions in _groups(catalog)]
            return respond({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        case ["api", "v1"]:
            return respond(_resources(catalog, "", "v1"))
        case ["apis", group]:
            versions = catalog.groups().get(group)
            if group and versions:
                return respond({"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)})
        case ["apis", group, version]:
            if group and version in catalog.groups().get(group, ()):
                return respond(_resources(catalog, group, version))
        case _:
            pass
    return None


def _paths(catalog: Catalog) -> Iterator[str]:
    yield from ("/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version")
    for group, versions in _groups(catalog):
        yield f"/apis/{group}"
        yield from (f"/apis/{group}/{version}" for version in versions)


def _groups(catalog: Catalog) -> list[tuple[str, list[str]]]:
    return [(group, versions) for group, versions in catalog.groups().items() if group]


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(catalog: Catalog, group: str, version: str) -> Object:
    found: list[Object] = []
    for kind in catalog.served(group, version):
        found.append(_resource(kind))
        found += _subresources(kind, kind.versions[version])
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}


def _resource(kind: Kind) -> Object:
    found: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    if not kind.behaviour.create_only:
        digest = hashlib.sha256(f"{kind.group}/{kind.storage}/{kind.kind}".encode()).digest()[:8]
        found["storageVersionHash"] = base64.b64encode(digest).decode()
    return found


def _verbs(kind: Kind) -> list[str]:
    if kind.custom:  # in the order in which the API server lists them for custom resources
        return ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    return list(kind.verbs)


def _subresources(kind: Kind, version: Version) -> Iterator[Object]:
    base = {"singularName": "", "namespaced": kind.namespaced}
    if kind.plural == "namespaces":
        yield {"name": "namespaces/finalize", **base, "kind": kind.kind, "verbs": ["update"]}
    if version.scale is not None:
        yield {
            "name": f"{kind.plural}/scale",
            **base,
            "group": "autoscaling",
            "version": "v1",
            "kind": "Scale",
            "verbs": ["get", "patch", "update"],
        }
    if version.status:
        yield {"name": f"{kind.plural}/status", **base, "kind": kind.kind, "verbs": ["get", "patch", "update"]}


def _wants_aggregated(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return any(all(part in entry for part in _AGGREGATED) for entry in accept.split(","))


def _aggregated(catalog: Catalog, *, core: bool) -> Response:
    items: list[Object] = []
    for group, versions in catalog.groups().items():
        if bool(group) == core:
            continue
        metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
        entries = [
            {
                "version": version,
                "resources": [_discovered(kind, version) for kind in catalog.served(group, version)],
                "freshness": "Current",
            }
            for version in versions
        ]
        items.append({"metadata": metadata, "versions": entries})
    value: Object = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }
    found = respond(value)
    return Response(200, found.body, media_type=";".join(_AGGREGATED))


def _discovered(kind: Kind, version: str) -> Object:
    found: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    inner = [
        {
            "subresource": entry["name"].partition("/")[2],
            "responseKind": {
                "group": entry.get("group", kind.group),
                "version": entry.get("version", version),
                "kind": entry["kind"],
            },
            "verbs": entry["verbs"],
        }
        for entry in _subresources(kind, kind.versions[version])
    ]
    if inner:
        found["subresources"] = inner
    return found
