"""Record the field tables of the built-in kinds from the OpenAPI documents of a real API server.

    KUBECONFIG=... python tests/contract/record_schemas.py URL [CA-FILE] [TOKEN]

Names, types, defaults and list keys are kept; the descriptions stay behind. The result is
`controller/apiserver/builtin/schemas.json`, one type a line.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

TARGET = Path(__file__).parents[2] / "controller" / "apiserver" / "builtin" / "schemas.json"
PREFIX = "#/components/schemas/"
DOCUMENTS = {
    "api/v1": "Pod Service Namespace ServiceAccount ConfigMap Secret Node Event Endpoints",
    "apis/apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet",
    "apis/batch/v1": "Job CronJob",
    "apis/coordination.k8s.io/v1": "Lease",
    "apis/discovery.k8s.io/v1": "EndpointSlice",
    "apis/events.k8s.io/v1": "Event",
    "apis/policy/v1": "PodDisruptionBudget",
    "apis/rbac.authorization.k8s.io/v1": "Role RoleBinding ClusterRole ClusterRoleBinding",
    "apis/admissionregistration.k8s.io/v1": "ValidatingWebhookConfiguration MutatingWebhookConfiguration",
    "apis/apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "apis/authorization.k8s.io/v1": "SelfSubjectAccessReview",
}


def bare(schema: Any) -> Any:
    """A schema without its texts."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "description" and isinstance(value, str):
            continue
        kept[key] = {name: bare(inner) for name, inner in value.items()} if key == "properties" else bare(value)
    return kept


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target.removeprefix(PREFIX)
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from references(inner)


def kinds_of(schema: Any, kinds: set[str]) -> bool:
    return any(entry["kind"] in kinds for entry in schema.get("x-kubernetes-group-version-kind", ()))


def main() -> None:
    url, *rest = sys.argv[1:]
    context: ssl.SSLContext | bool = ssl.create_default_context(cafile=rest[0]) if rest else True
    headers = {"authorization": f"Bearer {rest[1]}"} if rest[1:] else {}
    found: dict[str, Any] = {}
    with httpx.Client(base_url=url, verify=context, headers=headers) as client:
        for path, kinds in DOCUMENTS.items():
            schemas = client.get(f"/openapi/v3/{path}").raise_for_status().json()["components"]["schemas"]
            waiting = [name for name, schema in schemas.items() if kinds_of(schema, set(kinds.split()))]
            while waiting:
                name = waiting.pop()
                if name not in found:
                    found[name] = bare(schemas[name])
                    waiting.extend(references(schemas[name]))
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found))
    TARGET.write_text(f"{{\n{lines}\n}}\n")
    print(f"{len(found)} types, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
