"""From files, flags and environment to an API server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.runtime.access import Wanted, find_endpoint
from controller.runtime.credentials import Anonymous, Fixed, TokenFile
from controller.runtime.endpoint import BadConfiguration, Endpoint, Impersonation, Pem, TlsSettings
from controller.runtime.exec_plugin import ExecPlugin


def config(
    *,
    cluster: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    name: str = "one",
    **more: Any,
) -> dict[str, Any]:
    """A kubeconfig with one of each."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"} | dict(cluster or {})}],
        "users": [{"name": name, "user": dict(user or {"token": f"token-{name}"})}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    } | more


class Machine:
    """A home, an environment, and files."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.account = folder / "serviceaccount"

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    def in_pod(self, host: str = "10.0.0.1", port: str = "443", namespace: str | None = "team\n") -> None:
        self.environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        self.write("serviceaccount/token", "abc")
        if namespace is not None:
            self.write("serviceaccount/namespace", namespace)

    def find(self, **wanted: Any) -> Endpoint:
        return find_endpoint(
            Wanted(**wanted),
            environment=self.environment,
            home=self.home,
            now=lambda: 0.0,
            service_account=self.account,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# -- which files --


def test_the_file_at_home(machine: Machine) -> None:
    """Without anything else, the file at home counts."""
    # runtime C1
    machine.write("home/.kube/config", config())
    assert machine.find().server == "https://one"


def test_the_environment_counts_more_than_home(machine: Machine) -> None:
    """Files of `$KUBECONFIG` are merged, the first one's entries win as a whole, and missing ones are passed over."""
    # runtime C1
    machine.write("home/.kube/config", config(name="home"))
    first = machine.write("a/config", config(name="one", users=[]))
    second = machine.write("b/config", config(name="one", cluster={"server": "https://other", "tls-server-name": "x"}))
    machine.environment["KUBECONFIG"] = f"{first}::{machine.folder}/missing:{second}"
    endpoint = machine.find()
    assert endpoint.server == "https://one"
    assert endpoint.tls.server_name is None, "entries are not merged field by field"
    assert endpoint.credentials == Fixed.token("token-one"), "the user comes from the second file"


def test_the_flag_counts_more_than_the_environment(machine: Machine) -> None:
    """A file that was named is the only one."""
    # runtime C1
    machine.environment["KUBECONFIG"] = str(machine.write("a", config(name="env")))
    named = machine.write("b", config(name="flag"))
    assert machine.find(kubeconfig=named).server == "https://flag"
    with pytest.raises(BadConfiguration, match="no context 'env'"):
        machine.find(kubeconfig=named, context="env")


def test_several_documents(machine: Machine) -> None:
    """One file may hold several documents, with a byte-order mark, and empty ones."""
    text = "\ufeff---\n" + yaml.safe_dump(config(contexts=[])) + "---\n---\n" + yaml.safe_dump(config())
    machine.write("home/.kube/config", text)
    assert machine.find().server == "https://one"


def test_entries_without_name_and_unknown_fields(machine: Machine) -> None:
    """What we do not know harms nobody."""
    document = config(extensions=[1], preferences={})
    document["clusters"].insert(0, {"cluster": {"server": "https://nameless"}})
    document["clusters"][1]["cluster"]["new-field"] = {"a": 1}
    machine.write("home/.kube/config", document)
    assert machine.find().server == "https://one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not YAML"),
        ("[]", "is not a mapping"),
        ("clusters: {}", "clusters is not a list"),
        ("clusters: [1]", "an entry of clusters is not a mapping"),
        ("clusters: [{name: a, cluster: 1}]", "cluster 'a' is not a mapping"),
        ("", "there is no current-context"),
    ],
)
def test_broken_files(machine: Machine, text: str, said: str) -> None:
    """A file that is broken is the error, by name, even where a pod's account would work."""
    # runtime C2
    machine.in_pod()
    path = machine.write("home/.kube/config", text)
    with pytest.raises(BadConfiguration) as caught:
        machine.find()
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_nothing_at_all(machine: Machine) -> None:
    """Where there is no way, both that were tried are named."""
    # runtime C3
    with pytest.raises(ExceptionGroup) as caught:
        machine.find()
    kubeconfig, pod = caught.value.exceptions
    assert ".kube/config does not exist" in str(kubeconfig)
    assert "not running in a cluster" in str(pod)


@pytest.mark.parametrize(
    "wanted", [{"context": "a"}, {"cluster": "a"}, {"user": "a"}, {"kubeconfig": Path("/no/where")}]
)
def test_entries_need_a_file(machine: Machine, wanted: dict[str, Any]) -> None:
    """Whoever names an entry does not mean the pod's account."""
    machine.in_pod()
    with pytest.raises(BadConfiguration, match="no kubeconfig"):
        machine.find(**wanted)


# -- which entries --


@pytest.mark.parametrize(
    ("change", "wanted", "said"),
    [
        ({}, {"context": "x"}, "no context 'x'"),
        ({"clusters": []}, {}, "no cluster 'one'"),
        ({}, {"cluster": "x"}, "no cluster 'x'"),
        ({"users": []}, {}, "no user 'one'"),
        ({}, {"user": "x"}, "no user 'x'"),
        ({"clusters": [{"name": "one", "cluster": {}}]}, {}, "has no server"),
        ({"clusters": [{"name": "one", "cluster": {"server": "one:6443"}}]}, {}, "not an http or https URL"),
        ({"contexts": [{"name": "one", "context": {"user": "one"}}]}, {}, "names no cluster"),
        ({"current-context": ""}, {}, "no current-context"),
    ],
)
def test_entries_that_are_missing(machine: Machine, change: dict[str, Any], wanted: dict[str, Any], said: str) -> None:
    """Each thing that is missing is an error of its own."""
    # runtime C4
    machine.write("home/.kube/config", config(**change))
    with pytest.raises(BadConfiguration, match=said):
        machine.find(**wanted)


def test_overrides(machine: Machine) -> None:
    """Context, cluster and user can each be chosen."""
    document, other = config(), config(name="two")
    for kind in ("clusters", "users", "contexts"):
        document[kind] += other[kind]
    machine.write("home/.kube/config", document)
    assert machine.find(context="two").credentials == Fixed.token("token-two")
    assert machine.find(cluster="two").server == "https://two"
    assert machine.find(cluster="two").credentials == Fixed.token("token-one")
    assert machine.find(user="two").credentials == Fixed.token("token-two")


def test_a_context_without_user_or_namespace(machine: Machine) -> None:
    """Without a user we are nobody; without a namespace it is `default`."""
    machine.write("home/.kube/config", config(contexts=[{"name": "one", "context": {"cluster": "one"}}]))
    endpoint = machine.find()
    assert endpoint.credentials == Anonymous()
    assert endpoint.namespace == "default"
    context = {"cluster": "one", "user": "one", "namespace": "team"}
    machine.write("home/.kube/config", config(contexts=[{"name": "one", "context": context}]))
    assert machine.find().namespace == "team"


# -- cluster --


def test_relative_paths_are_beside_their_file(machine: Machine) -> None:
    """Files are looked for beside the file that names them, each its own."""
    # runtime C5
    first = machine.write("a/config", config(cluster={"certificate-authority": "ca.crt"}, users=[]))
    user = {"client-certificate": "c.crt", "client-key": "../keys/k.pem", "tokenFile": "/abs/token"}
    second = machine.write("b/config", config(user=user))
    machine.environment["KUBECONFIG"] = f"{first}:{second}"
    endpoint = machine.find()
    assert endpoint.tls == TlsSettings(
        authorities=Pem(path=machine.folder / "a/ca.crt"),
        certificate=Pem(path=machine.folder / "b/c.crt"),
        key=Pem(path=machine.folder / "b/../keys/k.pem"),
    )
    assert isinstance(endpoint.credentials, TokenFile)
    assert endpoint.credentials._path == Path("/abs/token")


def test_data_counts_more_than_files(machine: Machine) -> None:
    """Inline certificates win over files, and have to be base64."""
    # runtime C6
    data = base64.b64encode(b"PEM").decode()
    cluster = {"certificate-authority": "ca.crt", "certificate-authority-data": data}
    machine.write("home/.kube/config", config(cluster=cluster))
    assert machine.find().tls.authorities == Pem(data=b"PEM")
    machine.write("home/.kube/config", config(cluster={"certificate-authority-data": "@@"}))
    with pytest.raises(BadConfiguration, match="certificate-authority-data of 'one' is not base64"):
        machine.find()


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({}, {"client-certificate": "c"}, "client-key are not both given"),  # runtime C7
        ({}, {"client-key-data": "eA=="}, "client-key are not both given"),
        ({"insecure-skip-tls-verify": True, "certificate-authority": "x"}, {}, "exclude each other"),
        ({"insecure-skip-tls-verify": "yes"}, {}, "neither true nor false"),
        ({"server": 7}, {}, "is not text"),
        ({}, {"token": "t", "username": "u"}, "exclude each other"),
        ({}, {"exec": 3}, "is not a mapping"),
        ({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, "is none of"),
        ({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, "no command"),
    ],
)
def test_entries_that_make_no_sense(machine: Machine, cluster: dict[str, Any], user: dict[str, Any], said: str) -> None:
    """What contradicts itself is an error and not a guess."""
    machine.write("home/.kube/config", config(cluster=cluster, user=user or {"token": "t"}))
    with pytest.raises(BadConfiguration, match=said):
        machine.find()


def test_cluster_settings(machine: Machine) -> None:
    """Name, compression, proxy and checking can be set per cluster."""
    cluster = {"tls-server-name": "api", "disable-compression": True, "proxy-url": "http://p:1"}
    machine.write("home/.kube/config", config(cluster=cluster))
    machine.environment["HTTPS_PROXY"] = "http://other:1"
    endpoint = machine.find()
    assert (endpoint.tls.server_name, endpoint.compression, endpoint.proxy) == ("api", False, "http://p:1")
    machine.write("home/.kube/config", config(cluster={"insecure-skip-tls-verify": True}))
    endpoint = machine.find()
    assert (endpoint.tls.insecure, endpoint.compression, endpoint.proxy) == (True, True, "http://other:1")


# -- user --


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ({"token": "t", "tokenFile": "f"}, lambda found: isinstance(found, TokenFile)),
        ({"token": "t"}, lambda found: found == Fixed.token("t")),
        ({"username": "u", "password": "p"}, lambda found: found == Fixed.basic("u", "p")),
        ({"client-certificate": "c", "client-key": "k"}, lambda found: found == Anonymous()),
        (
            {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}},
            lambda found: isinstance(found, ExecPlugin),
        ),
        (
            {"token": "t", "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}},
            lambda found: found == Fixed.token("t"),
        ),
        (
            {
                "client-certificate": "c",
                "client-key": "k",
                "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"},
            },
            lambda found: found == Anonymous(),
        ),
    ],
)
def test_credentials(machine: Machine, user: dict[str, Any], kind: Callable[[object], bool]) -> None:
    """Of several credentials the same one counts as for kubectl."""
    machine.write("home/.kube/config", config(user=user))
    assert kind(machine.find().credentials)


async def test_basic_and_token_headers() -> None:
    """Headers are what servers expect, and secrets do not show in logs."""
    assert await Fixed.basic("jane", "p:w").authorization() == "Basic amFuZTpwOnc="
    assert await Fixed.token(" abc\n").authorization() == "Bearer abc"
    assert "abc" not in repr(Fixed.token("abc"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [("./plugin", "{folder}/plugin"), ("bin/plugin", "{folder}/bin/plugin"), ("plugin", "plugin")],
)
def test_where_a_plugin_is(machine: Machine, command: str, expected: str) -> None:
    """A plugin with a path is beside the file that names it; one without is looked for in PATH."""
    # runtime C5
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command}}
    path = machine.write("a/config", config(user=user))
    credentials = machine.find(kubeconfig=path).credentials
    assert isinstance(credentials, ExecPlugin)
    assert credentials._plugin.command == expected.format(folder=path.parent)


def test_impersonation(machine: Machine) -> None:
    """In whose name we come is independent of where our credentials come from."""
    # runtime C14
    impersonation = Impersonation(user="jane", groups=("dev",))
    machine.in_pod()
    assert machine.find(impersonation=impersonation).impersonation == impersonation
    machine.write("home/.kube/config", config())
    assert machine.find(impersonation=impersonation).impersonation == impersonation


# -- in a cluster --


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("10.0.0.1", "443", "https://10.0.0.1:443"),
        ("fd00::1", "6443", "https://[fd00::1]:6443"),
        ("kubernetes.default", "443", "https://kubernetes.default:443"),
    ],
)
def test_in_a_pod(machine: Machine, host: str, port: str, server: str) -> None:
    """In a pod, the environment says where, and the account says who."""
    # runtime C15
    machine.in_pod(host, port)
    endpoint = machine.find()
    assert endpoint.server == server
    assert endpoint.tls.authorities == Pem(path=machine.account / "ca.crt")
    assert isinstance(endpoint.credentials, TokenFile)
    assert endpoint.namespace == "team"


def test_in_a_pod_without_namespace(machine: Machine) -> None:
    """An account without namespace file is in `default`."""
    # runtime C15
    machine.in_pod(namespace=None)
    assert machine.find().namespace == "default"


def test_in_a_pod_without_token(machine: Machine) -> None:
    """An account that was not mounted is an error that says so."""
    # runtime C15
    machine.in_pod()
    (machine.account / "token").unlink()
    with pytest.raises(ExceptionGroup) as caught:
        machine.find()
    assert "no token at" in str(caught.value.exceptions[1])
