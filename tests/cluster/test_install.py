"""What `trellis manifests` prints is accepted by a real API server, and is all that the controller needs in it."""

from __future__ import annotations

import functools
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import yaml

from controller.analysis.manifests import render
from controller.cli.certificate import make_certificate, write_certificate
from controller.cli.manifest_flags import ManifestFlags, check
from controller.cli.manifests import to_installation
from tests.cluster import linkerd_chart
from tests.cluster.installing import (
    AuditedKube,
    Right,
    RunningInstallation,
    audited_kube,
    container,
    manifests,
    running,
    write_kubeconfig,
    write_secret,
)
from tests.cluster.processes import eventually
from tests.docs.metrics import asked_for, documented, scraped
from tests.kube import KubeServer, kube_server
from tests.manifests import GATEWAY, POLICY, Manifest, named, rate_limit, server, server_ref

pytestmark = pytest.mark.cluster

USER = "system:serviceaccount:trellis:trellis"
FOREIGN = {
    "type": "Accepted",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "lastTransitionTime": "2024-05-06T07:08:09Z",
}
ROUTES = {
    "httproutes.policy.linkerd.io": ("HTTPRoute", f"{POLICY}/v1beta3"),
    "httproutes.gateway.networking.k8s.io": ("HTTPRoute", f"{GATEWAY}/v1"),
    "grpcroutes.gateway.networking.k8s.io": ("GRPCRoute", f"{GATEWAY}/v1"),
    "tlsroutes.v1alpha2.gateway.networking.k8s.io": ("TLSRoute", f"{GATEWAY}/v1alpha2"),
    "tcproutes.v1alpha2.gateway.networking.k8s.io": ("TCPRoute", f"{GATEWAY}/v1alpha2"),
}


@attrs.frozen
class Installed:
    """Everything that was printed, applied, and the controller that runs with it."""

    audited: AuditedKube
    printed: list[Manifest]
    controller: RunningInstallation

    @property
    def kube(self) -> KubeServer:
        return self.audited.kube

    def object(self, kind: str) -> Manifest:
        [found] = [each for each in self.printed if each["kind"] == kind]
        return found


@pytest.fixture(scope="module")
def installed(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One namespace for all, so that the Lease has an owner, and every kind that can be followed."""
    folder = tmp_path_factory.mktemp("installed")
    text = manifests("--control-plane-namespace=trellis", "--gateway-api")
    with audited_kube(assets, folder) as audited:
        kube = audited.kube
        install(kube, text)
        printed = list(yaml.safe_load_all(text))
        [deployment] = [each for each in printed if each["kind"] == "Deployment"]
        [secret] = [each for each in printed if each["kind"] == "Secret"]
        write_secret(secret, folder / "tls")
        kubeconfig = write_kubeconfig(kube, folder, "trellis", "trellis")
        with running(container(deployment, "policy")["args"], kubeconfig, folder) as controller:
            controller.wait_ready()
            use_everything(kube)
            yield Installed(audited, printed, controller)


def install(kube: KubeServer, text: str) -> None:
    kube.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    kube.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


def use_everything(kube: KubeServer) -> None:
    """Have a status of every kind that has one written, the second time over what somebody else wrote."""
    kube.kubectl("create", "namespace", "app")
    network = named("EgressNetwork", f"{POLICY}/v1alpha1", "all", namespace="app", spec={"trafficPolicy": "Allow"})
    limit = rate_limit("limit", "web")
    limit["metadata"]["namespace"] = "app"
    kube.apply(limit, network, *(route(*names) for names in ROUTES.values()))
    statuses = {"httplocalratelimitpolicies": "limit", "egressnetworks": "all"} | dict.fromkeys(ROUTES, "route")
    for plural, name in statuses.items():
        wait_shown(kube, plural, name, bool)
    for plural in ROUTES:
        other = {"parentRef": {"name": "other"}, "controllerName": "example.com/other", "conditions": [FOREIGN]}
        kube.kubectl(
            "-n", "app", "patch", plural, "route", "--subresource=status", "--type=json",
            "-p", json.dumps([{"op": "add", "path": "/status/parents/-", "value": other}]),
        )  # fmt: skip
    kube.kubectl(
        "-n", "app", "patch", "egressnetworks", "all", "--subresource=status", "--type=json",
        "-p", json.dumps([{"op": "add", "path": "/status/conditions/-", "value": FOREIGN | {"type": "Foreign"}},
                          {"op": "replace", "path": "/status/conditions/0/reason", "value": "Changed"}]),
    )  # fmt: skip
    service = named("Service", "v1", "web", namespace="app", spec={"ports": [{"port": 80}]})
    kube.apply(server("web", namespace="app"), service)
    for plural in ROUTES:
        wait_shown(kube, plural, "route", lambda shown: "NoMatchingParent" not in shown)
    wait_shown(kube, "httplocalratelimitpolicies", "limit", lambda shown: shown == ["Accepted"])
    wait_shown(kube, "egressnetworks", "all", lambda shown: shown == ["Accepted", "Accepted"])


def route(kind: str, version: str) -> Manifest:
    parent = {"group": "", "kind": "Service", "name": "web"} if kind in ("TCPRoute", "TLSRoute") else server_ref("web")
    spec: Manifest = {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}
    if kind == "TLSRoute":
        spec["hostnames"] = ["web.example"]
    return named(kind, version, "route", namespace="app", spec=spec)


def wait_shown(kube: KubeServer, plural: str, name: str, accept: Callable[[list[str]], bool]) -> None:
    eventually(lambda: accept(reasons(kube, plural, name)), f"{plural} {name} shows what it should")


def reasons(kube: KubeServer, plural: str, name: str) -> list[str]:
    status = json.loads(kube.kubectl("-n", "app", "get", plural, name, "-o", "json")).get("status", {})
    sources = status.get("parents", [status])
    return [
        condition["reason"]
        for source in sources
        for condition in source.get("conditions", ())
        if condition["type"] != "ResolvedRefs"
    ]


def test_nothing_is_forbidden(installed: Installed) -> None:
    """With the rights that are printed, and no others, everything works."""
    eventually(lambda: installed.controller.metric("resource_status_patches_total") > 0, "statuses are written")

    assert installed.audited.denied(USER) == []


def test_every_right_is_needed(installed: Installed) -> None:
    """What is printed is what is used, right for right, so that without any one something would be forbidden."""
    printed = granted(installed.printed)
    used = installed.audited.used(USER)

    # Nobody asks to create a Lease; applying one that is not there needs the right, as the next test shows.
    assert printed - used == {Right("coordination.k8s.io", "leases", "create")}
    assert used - printed == frozenset()


def granted(printed: list[Manifest]) -> frozenset[Right]:
    return frozenset(
        Right(group, resource, verb)
        for role in printed
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "policy-controller-write"}}


@pytest.mark.parametrize("without", ["create", "patch"])
def test_the_lease_needs_each_of_its_rights(installed: Installed, without: str, tmp_path: Path) -> None:
    """Applying a Lease that does not exist takes the rights to create it and to patch it, by that name."""
    kube, namespace = installed.kube, f"lease-without-{without}"
    kube.kubectl("create", "namespace", namespace)
    kube.kubectl("-n", namespace, "create", "serviceaccount", "trellis")
    roles = [each for each in installed.printed if each["kind"] in ("Role", "RoleBinding")]
    [role, binding] = json.loads(json.dumps(roles).replace('"namespace": "trellis"', f'"namespace": "{namespace}"'))
    kube.apply(role, binding)
    kubeconfig = write_kubeconfig(kube, tmp_path, namespace, "trellis")

    def apply() -> str:
        return kube.kubectl(
            f"--kubeconfig={kubeconfig}", "-n", namespace, "apply", "--server-side", "-f", "-",
            stdin=json.dumps(LEASE), check=False,
        )  # fmt: skip

    assert "serverside-applied" in apply()
    kube.kubectl("-n", namespace, "delete", "lease", "policy-controller-write")
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != without]
    kube.apply(role)

    eventually(lambda: "is forbidden" in apply(), f"without {without} the Lease cannot be held", within=10)


def test_the_lease_goes_with_the_deployment(installed: Installed) -> None:
    """Where the Lease lies beside the Deployment, that is its owner."""
    lease = json.loads(installed.kube.kubectl("-n", "trellis", "get", "lease", "policy-controller-write", "-o", "json"))

    [owner] = lease["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Deployment", "trellis")


def test_the_probes_are_answered(installed: Installed) -> None:
    """At the paths and the port that the kubelet is told of."""
    policy = container(installed.object("Deployment"), "policy")
    ports = {port["name"]: port["containerPort"] for port in policy["ports"]}

    for probe in (policy["livenessProbe"], policy["readinessProbe"]):
        assert f"--admin-addr=0.0.0.0:{ports[probe['httpGet']['port']]}" in policy["args"]
        assert installed.controller.get(probe["httpGet"]["path"])[0] == 200


def test_pods_are_let_into_the_namespace(installed: Installed) -> None:
    """The namespace takes no pod with more power than a restricted one; ours has not."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "trellis"},
        "spec": installed.object("Deployment")["spec"]["template"]["spec"],
    }
    create = ("create", "--dry-run=server", "--validate=strict", "-f", "-")

    assert "pod/one created" in installed.kube.kubectl(*create, stdin=json.dumps(pod))
    pod["spec"] = pod["spec"] | {"hostNetwork": True}
    assert "violates PodSecurity" in installed.kube.kubectl(*create, stdin=json.dumps(pod), check=False)


def test_applying_the_same_again_changes_nothing(installed: Installed) -> None:
    """Output that is kept and applied anew leaves every object at its version."""
    kube, text = installed.kube, yaml.safe_dump_all(installed.printed)

    def versions() -> list[str]:
        listed = kube.kubectl("get", "-f", "-", "-o", "json", "--show-managed-fields", stdin=text)
        return [item["metadata"]["resourceVersion"] for item in json.loads(listed)["items"]]

    before = versions()
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    assert versions() == before


# The flags, with every value that can make a difference to the API server.
SWITCHES: dict[str, tuple[object, ...]] = {
    "no_crds": (False, True),
    "gateway_api": (False, True),
    "no_namespace": (False, True),
    "pod_monitor": (False, True),
    "namespace": ("trellis", "mesh-policy"),
    "control_plane_namespace": ("linkerd", "trellis"),
    "image": (None, "registry.example:5000/mesh/trellis@sha256:" + "0" * 64),
    "replicas": (None, 5),
    "ha": (False, True),
    "memory": ("1Gi",),
    "ipv6": (False, True),
}
CERTIFICATES: tuple[dict[str, object], ...] = (
    {"webhook_tls": Path("tls")},
    {"webhook_secret": "webhook-certificate", "webhook_ca": Path("tls/ca.crt")},
    {"webhook_secret": "webhook-certificate", "webhook_inject_ca_from": "trellis/webhook"},
)
WEBHOOKS: tuple[dict[str, object], ...] = (
    {"no_webhook": True},
    *(one | {"webhook_failure_policy": policy} for one in CERTIFICATES for policy in (None, "Fail", "Ignore")),
)


def test_every_combination_of_flags_is_accepted(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server judges objects one by one; so it is shown each that some combination prints."""
    monkeypatch.chdir(tmp_path)
    write_certificate(make_certificate("trellis", days=1), Path("tls"))
    varied = {*SWITCHES, *itertools.chain.from_iterable(WEBHOOKS)}
    assert varied == {field.name for field in attrs.fields(ManifestFlags)} - {"linkerd"}, "a flag is not tried"

    monkeypatch.setattr(render, "crds", functools.cache(render.crds))  # slow to make, and the same each time
    distinct = {json.dumps(definition): None for definition in render.crds(gateway_api=True)}
    for values, webhook in itertools.product(itertools.product(*SWITCHES.values()), WEBHOOKS):
        flags = ManifestFlags(**dict(zip(SWITCHES, values, strict=True)), **webhook)  # type: ignore[arg-type]
        if not (flags.no_crds and flags.gateway_api):
            check(flags, ())
            printed = render.manifests(to_installation(flags, (), "0.1.0"))
            definitions = [each for each in printed if each["kind"] == "CustomResourceDefinition"]
            assert definitions == [] if flags.no_crds else list(render.crds(gateway_api=flags.gateway_api))
            distinct |= dict.fromkeys(json.dumps(each) for each in printed if each not in definitions)

    with kube_server(assets) as kube:
        for namespace in ("linkerd", "trellis", "mesh-policy"):
            kube.kubectl("create", "namespace", namespace)
        kube.apply(linkerd_chart.pod_monitors())
        kube.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
        said = kube.kubectl(*dry, stdin="\n---\n".join(distinct))

    assert said.count("serverside-applied (server dry run)") == len(distinct)


# In Linkerd's place


def test_linkerds_rights_and_arguments_will_do(assets: Path, tmp_path: Path) -> None:
    """The patch swaps one program; what the chart gives to it and asks of it stays, and is enough."""
    with audited_kube(assets, tmp_path) as audited:
        kube = audited.kube
        kube.apply(*linkerd_chart.objects())
        install_crds(kube)
        before = containers(kube)
        patch = manifests("--linkerd", "--image=registry.example/trellis:1")
        where = ("-n", "linkerd", "patch", "deployment", "linkerd-destination")
        kube.kubectl(*where, "--type=strategic", "--patch", patch)
        policy = patched(before, containers(kube))
        write_certificate(make_certificate("linkerd", days=1), tmp_path / "tls")
        kubeconfig = write_kubeconfig(kube, tmp_path, "linkerd", "linkerd-destination")

        with running(policy["args"], kubeconfig, tmp_path) as controller:
            controller.wait_ready()
            # Later than the controller, so that it has to look for them.
            install_crds(kube, "--gateway-api")
            use_everything(kube)

            assert controller.terminate() == 0
        assert audited.denied(linkerd_chart.USER) == []
        assert Right("coordination.k8s.io", "leases", "patch") in audited.used(linkerd_chart.USER)


def install_crds(kube: KubeServer, *arguments: str) -> None:
    command = [sys.executable, "-m", "controller", "crds", *arguments]
    install(kube, subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def containers(kube: KubeServer) -> list[Manifest]:
    text = kube.kubectl("-n", "linkerd", "get", "deployment", "linkerd-destination", "-o", "json")
    return list(json.loads(text)["spec"]["template"]["spec"]["containers"])


def patched(before: list[Manifest], after: list[Manifest]) -> Manifest:
    """The policy container, after making sure that nothing but its program has changed."""
    swapped = {"image": "registry.example/trellis:1", "command": ["/linkerd-policy-controller"]}

    assert after == [each | swapped if each["name"] == "policy" else each for each in before]
    return next(each for each in after if each["name"] == "policy")


# The webhook


def own_address() -> str:
    """An address of this machine other than loopback, which may not stand for a pod."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def test_the_webhook_is_found_and_trusted(assets: Path, tmp_path: Path) -> None:
    """The API server finds the webhook by its Service, trusts its certificate, and refuses what it refuses."""
    host = own_address()
    # Without a proxy on the node, the addresses behind a Service are asked for instead of the Service's own.
    with audited_kube(assets, tmp_path, "--enable-aggregator-routing=true") as audited:
        kube = audited.kube
        text = manifests("--control-plane-namespace=trellis", "--webhook-failure-policy=Fail")
        install(kube, text)
        printed = {each["kind"]: each for each in yaml.safe_load_all(text)}
        write_secret(printed["Secret"], tmp_path / "tls")
        kubeconfig = write_kubeconfig(kube, tmp_path, "trellis", "trellis")
        arguments = container(printed["Deployment"], "policy")["args"]
        kube.kubectl("create", "namespace", "app")
        bad = server("web", namespace="app", access_policy="foobar")

        def apply() -> str:
            return kube.kubectl("apply", "-f", "-", stdin=json.dumps(bad), check=False)

        assert "failed calling webhook" in apply()
        with running(arguments, kubeconfig, tmp_path, host=host) as controller:
            controller.wait_ready()
            kube.apply(endpoints(host, int(controller.webhook.rpartition(":")[2])))

            eventually(lambda: "denied the request" in apply(), f"it is refused, not: {apply()}")
            kube.apply(server("web", namespace="app"))
            kube.kubectl("label", "namespace", "app", "config.linkerd.io/admission-webhooks=disabled")
            eventually(lambda: "configured" in apply(), "nobody judges what is in an exempt namespace")


def endpoints(host: str, port: int) -> Manifest:
    """Where the webhook's pod is, as the endpoint controller would write it."""
    labels = {"kubernetes.io/service-name": "trellis-webhook"}
    metadata = {"name": "trellis-webhook-1", "namespace": "trellis", "labels": labels}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port}],
    }


# What is written about metrics


def test_the_metrics_are_documented(installed: Installed) -> None:
    """Every metric of a running controller is in the page about them, with its type and labels, and no other is."""
    there, written = scraped(installed.controller.open_metrics()), documented()

    assert there.keys() - written.keys() == set(), "these are missing in docs/metrics.md"
    assert written.keys() - there.keys() == set(), "these are in docs/metrics.md, and are no more"
    for name, (kind, labels) in there.items():
        assert written[name][0] == kind, name
        assert not labels or labels == written[name][1], name


def test_alerts_and_dashboard_ask_for_what_there_is(installed: Installed) -> None:
    """No alert is silent, and no panel empty, because of a name."""
    there = scraped(installed.controller.open_metrics())

    names = {name for name, _ in asked_for()}
    assert names <= there.keys()
    assert len(names) > 20
    for name, labels in asked_for():
        assert labels <= documented()[name][1], name
