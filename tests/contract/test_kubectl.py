"""kubectl works against the server: what it prints, and that it ends well."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import Json, Server, config_map, deployment, pod, service
from tests.contract.widgets import widget


@attrs.frozen
class Kubectl:
    """kubectl, speaking to one server about one namespace."""

    program: Path
    server: Server
    namespace: str

    def __call__(self, *arguments: str, stdin: Json = None, check: bool = True) -> str:
        command = [str(self.program), f"--kubeconfig={self.server.kubeconfig}", "-n", self.namespace, *arguments]
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def watch(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(self.program), f"--kubeconfig={self.server.kubeconfig}", "-n", self.namespace, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def kubectl(assets: Path, widgets: Widgets) -> Kubectl:
    return Kubectl(assets / "kubectl", widgets.server, widgets.namespace)


@pytest.fixture(params=["pod", "service", "deployment", "configmap", "widget"])
def manifest(request: pytest.FixtureRequest, widgets: Widgets) -> Json:
    """One object of each of some kinds."""
    return {
        "pod": pod("a"),
        "service": service("a", ports=[{"port": 80}], selector={"x": "y"}),
        "deployment": deployment("a", {"name": "c", "image": "i:1"}),
        "configmap": config_map("a", {"k": "v"}),
        "widget": widget("a", widgets.group, size=1),
    }[request.param]


def _name(manifest: Json) -> str:
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = manifest["kind"].lower()
    return f"{kind}.{group}/a" if group else f"{kind}/a"


def test_apply(kubectl: Kubectl, manifest: Json) -> None:
    """Client-side apply creates, changes and leaves alone, with validation on."""
    labelled = {**manifest, "metadata": {"name": "a", "labels": {"x": "y"}}}

    assert kubectl("apply", "-f", "-", stdin=manifest) == f"{_name(manifest)} created\n"
    assert kubectl("apply", "-f", "-", stdin=manifest) == f"{_name(manifest)} unchanged\n"
    assert kubectl("apply", "-f", "-", stdin=labelled) == f"{_name(manifest)} configured\n"
    assert kubectl("get", _name(manifest), "-o", "jsonpath={.metadata.labels}") == '{"x":"y"}'
    kubectl("apply", "-f", "-", stdin=manifest)
    assert kubectl("get", _name(manifest), "-o", "jsonpath={.metadata.labels}") == ""


def test_server_side_apply(kubectl: Kubectl, manifest: Json) -> None:
    """Server-side apply, and taking over from client-side apply, need no force."""
    assert kubectl("apply", "-f", "-", stdin=manifest) == f"{_name(manifest)} created\n"
    assert kubectl("apply", "--server-side", "-f", "-", stdin=manifest) == f"{_name(manifest)} serverside-applied\n"


def test_apply_refuses_unknown_fields(kubectl: Kubectl, manifest: Json) -> None:
    """A misspelt field is an error before anything is stored."""
    found = kubectl("apply", "-f", "-", stdin={**manifest, "bogus": 1}, check=False)

    assert 'unknown field "bogus"' in found
    assert "NotFound" in kubectl("get", _name(manifest), check=False)


def test_conflicts_of_server_side_apply(kubectl: Kubectl, widgets: Widgets) -> None:
    """A conflict is explained, and can be forced."""
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=widget("a", widgets.group, size=1))
    other = ("apply", "--server-side", "--field-manager=two", "-f", "-")

    found = kubectl(*other, stdin=widget("a", widgets.group, size=2), check=False)

    assert 'conflict with "one": .spec.size' in found
    assert "serverside-applied" in kubectl(*other, "--force-conflicts", stdin=widget("a", widgets.group, size=2))


def test_get(kubectl: Kubectl, manifest: Json) -> None:
    """Tables, names, YAML and JSON of one and of many."""
    kubectl("create", "-f", "-", stdin=manifest)
    name = _name(manifest)
    kind = name.partition("/")[0]

    lines = kubectl("get", kind).splitlines()
    assert lines[0].startswith("NAME ")
    assert lines[1].split()[0] == "a"
    assert kubectl("get", kind, "-o", "name") == f"{name}\n"
    assert f"kind: {manifest['kind']}\n" in kubectl("get", name, "-o", "yaml")
    assert json.loads(kubectl("get", kind, "-o", "json"))["kind"] == "List"
    assert "a" in kubectl("get", kind, "-o", "wide", "--show-labels")
    assert kubectl("get", kind, "-l", "nobody=has") == f"No resources found in {kubectl.namespace} namespace.\n"


def test_short_names_and_categories(kubectl: Kubectl, widgets: Widgets) -> None:
    """Short names and categories of definitions work like built-in ones."""
    kubectl("create", "-f", "-", stdin=widget("a", widgets.group, size=3))
    kubectl("create", "-f", "-", stdin=pod("p"))
    short = f"wd.{widgets.group}"  # other tests' groups have the same short name

    assert kubectl("get", short, "-o", "name") == f"widget.{widgets.group}/a\n"
    assert kubectl("get", "contract", "-o", "name") == f"widget.{widgets.group}/a\n"
    assert kubectl("get", "po", "-o", "name") == "pod/p\n"
    assert kubectl("get", "all", "-o", "name") == "pod/p\n"
    assert re.search(r"^a +3 +\d+s$", kubectl("get", short), re.MULTILINE)


def test_describe(kubectl: Kubectl, manifest: Json) -> None:
    """Every kind can be described."""
    kubectl("create", "-f", "-", stdin=manifest)

    found = kubectl("describe", _name(manifest))

    assert re.search(r"^Name: +a$", found, re.MULTILINE)
    assert re.search(rf"^Namespace: +{kubectl.namespace}$", found, re.MULTILINE)


def test_describe_shows_events(kubectl: Kubectl) -> None:
    """Events about an object are found by its reference."""
    kubectl("create", "-f", "-", stdin=pod("a"))
    uid = kubectl("get", "pod", "a", "-o", "jsonpath={.metadata.uid}")
    about = {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": kubectl.namespace, "uid": uid}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a.1"}, "involvedObject": about}
    event |= {"reason": "Noticed", "message": "somebody looked", "type": "Normal", "source": {"component": "contract"}}
    kubectl("create", "-f", "-", stdin=event)

    assert "somebody looked" in kubectl("describe", "pod", "a")
    assert "somebody looked" in kubectl("get", "events")
    assert "somebody looked" in kubectl("events")


def test_label_annotate_and_patch(kubectl: Kubectl, manifest: Json) -> None:
    """Small changes by command."""
    kubectl("create", "-f", "-", stdin=manifest)
    name = _name(manifest)

    assert kubectl("label", name, "x=y") == f"{name} labeled\n"
    assert kubectl("label", name, "x=y") == f"{name} not labeled\n"
    assert kubectl("annotate", name, "n=1") == f"{name} annotated\n"
    merge = '{"metadata":{"labels":{"x":"z"}}}'
    assert kubectl("patch", name, "--type=merge", "-p", merge) == f"{name} patched\n"
    operations = '[{"op":"remove","path":"/metadata/labels/x"}]'
    assert kubectl("patch", name, "--type=json", "-p", operations) == f"{name} patched\n"
    assert kubectl("get", name, "-o", "jsonpath={.metadata.labels}") == ""


def test_replace_and_delete(kubectl: Kubectl, manifest: Json) -> None:
    """Replacing keeps what it must, and deleting waits until the object is gone."""
    kubectl("create", "-f", "-", stdin=manifest)
    name = _name(manifest)

    stored = json.loads(kubectl("get", name, "-o", "json"))
    stored["metadata"]["labels"] = {"x": "y"}
    assert kubectl("replace", "-f", "-", stdin=stored) == f"{name} replaced\n"
    assert "deleted" in kubectl("delete", name)
    assert "NotFound" in kubectl("get", name, check=False)
    assert kubectl("delete", name, "--ignore-not-found") == ""


def test_wait(kubectl: Kubectl, widgets: Widgets) -> None:
    """Waiting for a value, for a condition, for creation and for deletion."""
    kubectl("create", "-f", "-", stdin=widget("a", widgets.group, size=1))
    name = f"widget.{widgets.group}/a"

    assert "condition met" in kubectl("wait", "--for=jsonpath={.spec.size}=1", name, "--timeout=10s")
    assert "condition met" in kubectl("wait", "--for=create", name, "--timeout=10s")
    definition = f"crd/widgets.{widgets.group}"
    assert "condition met" in kubectl("wait", "--for=condition=Established", definition, "--timeout=10s")
    assert "timed out" in kubectl("wait", "--for=jsonpath={.spec.size}=2", name, "--timeout=1s", check=False)
    kubectl("delete", name, "--wait=false")
    kubectl("wait", "--for=delete", name, "--timeout=10s")


@pytest.fixture
def watching(kubectl: Kubectl) -> Iterator[subprocess.Popen[str]]:
    """`kubectl get -w` on config maps of which there is one."""
    kubectl("create", "-f", "-", stdin=config_map("a", {"k": "v"}))
    process = kubectl.watch("get", "configmaps", "-w", "--field-selector=metadata.name!=kube-root-ca.crt")
    yield process
    process.kill()
    process.communicate()


def test_get_and_watch(kubectl: Kubectl, watching: subprocess.Popen[str]) -> None:
    """A watch prints the table, and a line for each change."""
    assert watching.stdout is not None
    assert watching.stdout.readline().split() == ["NAME", "DATA", "AGE"]
    assert watching.stdout.readline().split()[:2] == ["a", "1"]
    kubectl("create", "-f", "-", stdin=config_map("b", {"k": "v", "n": "w"}))
    assert watching.stdout.readline().split()[:2] == ["b", "2"]
    kubectl("delete", "configmap", "a")
    assert watching.stdout.readline().split()[:2] == ["a", "1"]


def test_scale_and_rollout(kubectl: Kubectl) -> None:
    """Workloads can be scaled and restarted."""
    kubectl("create", "-f", "-", stdin=deployment("web", {"name": "c", "image": "i:1"}))

    assert kubectl("scale", "deployment/web", "--replicas=3") == "deployment.apps/web scaled\n"
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "3"
    assert kubectl("set", "image", "deployment/web", "c=i:2") == "deployment.apps/web image updated\n"
    assert kubectl("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"


def test_edit(kubectl: Kubectl, manifest: Json, tmp_path: Path) -> None:
    """An edit is a patch of what the editor changed."""
    kubectl("create", "-f", "-", stdin=manifest)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/^  name: a$/  name: a\\n  labels: {edited: "yes"}/\' "$1"\n')
    editor.chmod(0o755)
    command = [str(kubectl.program), f"--kubeconfig={kubectl.server.kubeconfig}", "-n", kubectl.namespace]
    environment = {**os.environ, "EDITOR": str(editor)}
    done = subprocess.run(
        [*command, "edit", _name(manifest)], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert kubectl("get", _name(manifest), "-o", "jsonpath={.metadata.labels}") == '{"edited":"yes"}'


def test_a_list_of_manifests(kubectl: Kubectl) -> None:
    """A List is validated and applied item by item."""
    manifests = {"apiVersion": "v1", "kind": "List", "items": [config_map("a"), config_map("b")]}

    assert kubectl("apply", "-f", "-", stdin=manifests) == "configmap/a created\nconfigmap/b created\n"


def test_imperative_commands(kubectl: Kubectl) -> None:
    """Commands that make objects by themselves."""
    name = f"{kubectl.namespace}-more"

    assert kubectl("create", "configmap", "a", "--from-literal=k=v") == "configmap/a created\n"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    assert kubectl("create", "serviceaccount", "sa") == "serviceaccount/sa created\n"
    assert kubectl("create", "deployment", "web", "--image=i:1") == "deployment.apps/web created\n"
    assert kubectl("expose", "deployment", "web", "--port=80") == "service/web exposed\n"
    assert kubectl("run", "p", "--image=i:1") == "pod/p created\n"
    assert kubectl("auth", "can-i", "delete", "pods") == "yes\n"
    assert kubectl("get", "configmap", "a", "-o", "jsonpath={.data}") == '{"k":"v"}'


def test_explain_and_api_resources(kubectl: Kubectl, widgets: Widgets) -> None:
    """Kinds, fields and versions can be looked up."""
    assert "containers" in kubectl("explain", "pod.spec")
    assert "weight" in kubectl("explain", "widget.spec.parts", f"--api-version={widgets.group}/v1")
    assert "customresourcedefinitions" in kubectl("api-resources", "-o", "name")
    assert f"{widgets.group}/v1" in kubectl("api-versions")
    assert "Server Version: v1." in kubectl("version")


def test_diff(kubectl: Kubectl, manifest: Json) -> None:
    """What an apply would change is shown without changing it."""
    kubectl("apply", "-f", "-", stdin=manifest)

    found = kubectl("diff", "-f", "-", stdin={**manifest, "metadata": {"name": "a", "labels": {"x": "y"}}}, check=False)

    assert '+    x: "y"' in found
    assert kubectl("get", _name(manifest), "-o", "jsonpath={.metadata.labels}") == ""
