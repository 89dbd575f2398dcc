"""Services: addresses, defaults and rules."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Callable, Iterator, Sequence

from controller.apiserver import causes, names
from controller.apiserver.builtin.pods import port_name, port_number
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import Cause, Object

NETWORK = ipaddress.ip_network("10.96.0.0/12")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NODE_PORTS = range(30000, 32768)


def defaults(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("type", "ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
    for port in list_at(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


class Addresses:
    """Hands out cluster addresses and node ports; `taken` tells which ones stored Services hold."""

    def __init__(self, taken: Callable[[], set[str]]) -> None:
        self._taken = taken

    def prepare(self, service: Object, old: Object | None) -> None:
        """Give a Service the addresses it asks for, or keep those it has."""
        spec = service["spec"]
        before = (old or {}).get("spec", {})
        if spec["type"] == "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(field, None)
            return
        if not spec.get("clusterIP") and before.get("type") != "ExternalName":
            for field in ("clusterIP", "clusterIPs"):
                if before.get(field):
                    spec[field] = before[field]
        if spec.get("clusterIP") != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            spec.pop("clusterIPs", None)  # the one that was changed counts
        if spec.get("clusterIPs") and not spec.get("clusterIP"):
            spec["clusterIP"] = spec["clusterIPs"][0]
        if not spec.get("clusterIP"):
            spec["clusterIP"] = self._free_address(service)
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        headless_without_selector = spec["clusterIP"] == "None" and not spec.get("selector")
        spec.setdefault("ipFamilies", ["IPv6"] if ":" in spec["clusterIP"] else ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if headless_without_selector else "SingleStack")
        if headless_without_selector and spec["ipFamilies"] == ["IPv4"] and old is None:
            spec["ipFamilies"] = ["IPv4", "IPv6"]
        if spec["type"] in ("NodePort", "LoadBalancer"):
            self._give_node_ports(spec, before)

    def validate(self, service: Object, old: Object | None) -> Sequence[Cause]:
        """What is wrong with a Service, addresses that others hold included."""
        found = list(_check(service, old))
        spec, before = service["spec"], held(old) if old is not None else set[str]()
        taken = self._taken() - before
        address = spec.get("clusterIP", "")
        if address in taken:
            text = f"failed to allocate IP {address}: provided IP is already allocated"
            found.append(causes.invalid_value("spec.clusterIPs", spec["clusterIPs"], text))
        for index, port in enumerate(list_at(spec, "ports")):
            if port.get("nodePort") and str(port["nodePort"]) in taken:
                text = "provided port is already allocated"
                found.append(causes.invalid_value(f"spec.ports[{index}].nodePort", port["nodePort"], text))
        return found

    def _free_address(self, service: Object) -> str:
        """A free address, chosen by the Service's name, so that a demo shows the same ones each time."""
        taken = self._taken()
        meta = service["metadata"]
        size = NETWORK.num_addresses - 2
        start = zlib.crc32(f"{meta.get('namespace')}/{meta.get('name')}".encode())
        for step in range(size):
            address = str(NETWORK[1 + (start + step) % size])
            if address not in taken:
                return address
        raise AssertionError("the service network is full")

    def _give_node_ports(self, spec: Object, before: Object) -> None:
        had = {(port["port"], port["protocol"]): port.get("nodePort") for port in list_at(before, "ports")}
        taken = self._taken()
        for port in list_at(spec, "ports"):
            if not port.get("nodePort"):
                kept = had.get((port["port"], port["protocol"]))
                port["nodePort"] = kept or next(number for number in _NODE_PORTS if str(number) not in taken)
            taken.add(str(port["nodePort"]))


def held(service: Object) -> set[str]:
    """The addresses and node ports of a stored Service."""
    spec = object_at(service, "spec")
    found = set(list_at(spec, "clusterIPs")) - {"None"}
    return found | {str(port["nodePort"]) for port in list_at(spec, "ports") if port.get("nodePort")}


def initial_status(_service: Object) -> Object:
    return {"loadBalancer": {}}


def fields(service: Object) -> dict[str, str]:
    spec = object_at(service, "spec")
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


def validate_status(service: Object, _old: Object | None) -> Sequence[Cause]:
    balancer = object_at(service, "status", "loadBalancer")
    if balancer.get("ingress") and service["spec"]["type"] != "LoadBalancer":
        text = "may only be used when `spec.type` is 'LoadBalancer'"
        return [causes.forbidden_field("status.loadBalancer.ingress", text)]
    return []


FIELDS = frozenset({"spec.clusterIP", "spec.type"})


def _check(service: Object, old: Object | None) -> Iterator[Cause]:
    spec = service["spec"]
    ports = list_at(spec, "ports")
    headless = spec.get("clusterIP") == "None"
    if spec["type"] not in _TYPES:
        yield causes.not_supported("spec.type", spec["type"], _TYPES)
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            yield causes.required("spec.externalName")
        else:
            for text in names.subdomain(spec["externalName"].removesuffix(".")):
                yield causes.invalid_value("spec.externalName", spec["externalName"], text)
    elif not ports and not headless:
        yield causes.required("spec.ports")
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        yield causes.not_supported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    yield from _check_ports(ports)
    yield from names.check_labels(object_at(spec, "selector"), "spec.selector")
    address = spec.get("clusterIP", "")
    if address not in ("", "None") and not names.is_address(address):
        yield causes.invalid_value(
            "spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        )
    before = (old or {}).get("spec", {})
    had = list_at(before, "clusterIPs") if "ExternalName" not in (before.get("type"), spec["type"]) else []
    if had and spec.get("clusterIPs", [""])[0] != had[0]:
        yield causes.invalid_value("spec.clusterIPs[0]", spec.get("clusterIPs"), "may not change once set")


def _check_ports(ports: Sequence[Object]) -> Iterator[Cause]:
    seen: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        where, name = f"spec.ports[{index}]", port.get("name", "")
        if not name and len(ports) > 1:
            yield causes.required(f"{where}.name")
        elif name:
            for text in names.label(name):
                yield causes.invalid_value(f"{where}.name", name, text)
            if name in seen:
                yield causes.duplicate(f"{where}.name", name)
            seen.add(name)
        number = port.get("port", 0)
        if text := port_number(number):
            yield causes.invalid_value(f"{where}.port", number, text)
        if port.get("protocol") not in _PROTOCOLS:
            yield causes.not_supported(f"{where}.protocol", port.get("protocol", ""), _PROTOCOLS)
        target = port.get("targetPort")
        if isinstance(target, int) and (text := port_number(target)):
            yield causes.invalid_value(f"{where}.targetPort", target, text)
        elif isinstance(target, str):
            for text in port_name(target):
                yield causes.invalid_value(f"{where}.targetPort", target, text)
        pair = (number, port.get("protocol", ""))
        if pair in numbers:
            yield causes.duplicate(where, {key: port[key] for key in ("protocol", "port") if key in port})
        numbers.add(pair)
