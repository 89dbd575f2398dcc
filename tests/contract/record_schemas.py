"""Record the field tables of the built-in kinds: what they are called, and how they are encoded.

    python tests/contract/record_schemas.py GO-MODULES URL [CA-FILE] [TOKEN]

Names, types, defaults and list keys come from the OpenAPI documents of a real API server; the descriptions stay behind.
Go's field tags in the modules `k8s.io/...` under GO-MODULES (`$(go env GOMODCACHE)`) tell what OpenAPI does not: the
numbers of fields on the wire, and whether a zero is written. The results are `schemas.json` and `fields.json` in
`controller/apiserver/builtin`, one type a line.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

TARGET = Path(__file__).parents[2] / "controller" / "apiserver" / "builtin"
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


# Go packages by the prefix of their types' names in OpenAPI.
PACKAGES = {
    "io.k8s.api.": "api@*",
    "io.k8s.apimachinery.": "apimachinery@*",
    "io.k8s.apiextensions-apiserver.": "apiextensions-apiserver@*",
}
FIELD = re.compile(r'^\s*(?:(\w+)\s+)?([\w.*\[\]]+)\s+`json:"([^"]*)"(?:.*?protobuf:"([^"]*)")?')


def go_structs(folder: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """The fields of every struct of a package: name (empty if embedded), type, JSON tag, wire tag."""
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for path in folder.glob("types*.go"):
        for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", path.read_text(), re.MULTILINE | re.DOTALL):
            lines = (FIELD.match(line.split("//")[0]) for line in body.splitlines())
            found[name] = [(line[1] or "", line[2], line[3], line[4] or "") for line in lines if line]
    return found


def package_of(name: str, modules: Path) -> Path | None:
    """The folder of the package that a type is in."""
    for prefix, module in PACKAGES.items():
        if name.startswith(prefix):
            inside = name.removeprefix(prefix).rpartition(".")[0].replace(".", "/")
            return max(modules.glob(f"k8s.io/{module}")) / inside
    return None


def is_structure(schema: Any, schemas: Any) -> bool:
    """Whether a field is a struct in Go, which no tag but omitzero can leave out."""
    inner = [schema, *schema.get("allOf", ())]
    targets = [entry["$ref"].removeprefix(PREFIX) for entry in inner if "$ref" in entry]
    raw = schemas[targets[0]] if targets else schema
    return bool(targets) and (
        raw.get("type", "object") == "object" or raw.get("format") in ("date-time", "int-or-string")
    )


def encoding(go_type: str, tag: str, *, structure: bool) -> str:
    """`p`: a pointer, written if it is set; `o`: left out when zero; `w`: always written."""
    if go_type.startswith("*"):
        return "p"
    leaves_out = "omitzero" in tag or ("omitempty" in tag and (not structure or go_type.startswith(("[]", "map["))))
    return "o" if leaves_out else "w"


def go_fields(schemas: dict[str, Any], modules: Path) -> dict[str, Any]:
    """Of each type its fields' numbers and encodings, and the types that are embedded in it by their numbers."""
    structs: dict[Path, dict[str, list[tuple[str, str, str, str]]]] = {}
    found: dict[str, Any] = {}
    for full, schema in schemas.items():
        folder = package_of(full, modules)
        if folder is None:
            continue
        known = structs.setdefault(folder, go_structs(folder))
        prefix, _, short = full.rpartition(".")
        waiting = list(known.get(short, ()))
        fields: dict[str, Any] = {}
        inline: dict[str, str] = {}
        for _, go_type, tag, wire in waiting:
            number = int(wire.split(",")[1]) if wire.count(",") > 1 else 0
            json_name = tag.split(",")[0]
            if not json_name and "inline" in tag:
                embedded = go_type.rpartition(".")[2]
                inline[str(number)] = f"{prefix}.{embedded}"
                waiting += [(inner[0], inner[1], inner[2], "") for inner in known.get(embedded, ())]
            elif json_name in schema.get("properties", {}):
                structure = is_structure(schema["properties"][json_name], schemas)
                fields[json_name] = [number, encoding(go_type, tag, structure=structure)]
        inline.pop("0", None)
        if inline:
            fields[""] = inline
        found[full] = fields
    for fields in list(found.values()):
        for embedded in fields.get("", {}).values():
            found.setdefault(embedded, embedded_fields(embedded, structs, modules))
    return found


def embedded_fields(full: str, structs: Any, modules: Path) -> dict[str, Any]:
    """The fields of a struct that only exists inside others, which therefore has no schema."""
    folder = package_of(full, modules)
    fields = structs.get(folder, {}).get(full.rpartition(".")[2], ())
    return {
        tag.split(",")[0]: [int(wire.split(",")[1]), encoding(go_type, tag, structure=False)]
        for _, go_type, tag, wire in fields
        if wire.count(",") > 1
    }


def write(name: str, types: dict[str, Any]) -> None:
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(types[key], separators=(',', ':'))}" for key in sorted(types))
    target = TARGET / name
    target.write_text(f"{{\n{lines}\n}}\n")
    print(f"{len(types)} types, {target.stat().st_size} bytes in {name}")


def main() -> None:
    modules, url, *rest = sys.argv[1:]
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
    write("schemas.json", found)
    write("fields.json", go_fields(found, Path(modules)))


if __name__ == "__main__":
    main()
