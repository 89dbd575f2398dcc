"""From what we are told to an API server: kubeconfig, context, credentials; or the account of the pod that we are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from pathlib import Path

import attrs

from controller.runtime import kubeconfig
from controller.runtime.credentials import Anonymous, Credentials, Fixed, TokenFile
from controller.runtime.endpoint import BadConfiguration, Endpoint, Impersonation, Pem, TlsSettings
from controller.runtime.exec_plugin import ExecPlugin, PluginCluster, parse_plugin
from controller.runtime.kubeconfig import Entry, Kubeconfig
from controller.runtime.log import get_logger
from controller.runtime.proxies import proxy_for

_log = get_logger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@attrs.frozen(kw_only=True)
class Wanted:
    """What the user asked for; what is not said is found out."""

    kubeconfig: Path | None = None
    context: str | None = None
    cluster: str | None = None
    user: str | None = None
    impersonation: Impersonation | None = None

    @property
    def names_an_entry(self) -> bool:
        return any((self.kubeconfig, self.context, self.cluster, self.user))


def find_endpoint(
    wanted: Wanted,
    *,
    environment: Mapping[str, str],
    home: Path,
    now: Callable[[], float],
    service_account: Path = SERVICE_ACCOUNT,
) -> Endpoint:
    """Find the API server to talk to.

    A kubeconfig that exists counts, and if it is broken, that is the error: what it meant must not be replaced by
    something else. Only where there is none, and none was asked for, do we use the account of the pod.
    """
    paths = kubeconfig.candidates(wanted.kubeconfig, environment, home)
    config = kubeconfig.load(paths)
    if config is not None:
        endpoint = from_kubeconfig(config, wanted, environment=environment, now=now)
    else:
        missing = BadConfiguration(f"no kubeconfig: {', '.join(map(str, paths))} does not exist")
        if wanted.names_an_entry:
            raise missing
        try:
            endpoint = in_cluster(environment, service_account, now=now)
        except BadConfiguration as error:
            raise ExceptionGroup("no way to reach a cluster was found", [missing, error]) from None
    return attrs.evolve(endpoint, impersonation=wanted.impersonation)


def in_cluster(
    environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT, *, now: Callable[[], float]
) -> Endpoint:
    """Return the API server as a pod sees it."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise BadConfiguration(
            "not running in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set"
        )
    token = service_account / "token"
    if not token.is_file():
        raise BadConfiguration(f"running in a cluster, but there is no token at {token}")
    server = f"https://{_bracketed(host)}:{port}"
    return Endpoint(
        server=server,
        tls=TlsSettings(authorities=Pem(path=service_account / "ca.crt")),
        credentials=TokenFile(token, now),
        proxy=proxy_for(server, environment),
        namespace=_namespace_in(service_account / "namespace"),
    )


def from_kubeconfig(
    config: Kubeconfig, wanted: Wanted, *, environment: Mapping[str, str], now: Callable[[], float]
) -> Endpoint:
    """Return the API server that a context names."""
    context = _context(config, wanted)
    cluster = _entry(config.clusters, "cluster", wanted.cluster or context.text("cluster"), config)
    server = cluster.text("server")
    if server is None:
        raise BadConfiguration(f"{cluster.source}: cluster {cluster.name!r} has no server")
    if not server.startswith(("http://", "https://")):
        raise cluster.bad("server", f"is not an http or https URL: {server}")
    user_name = wanted.user or context.text("user")
    user = None if user_name is None else _entry(config.users, "user", user_name, config)
    if user is None:
        _log.warning("the context names no user; coming as nobody", context=context.name)
    return Endpoint(
        server=server,
        tls=_tls(cluster, user),
        proxy=cluster.text("proxy-url") or proxy_for(server, environment),
        compression=not cluster.flag("disable-compression"),
        credentials=Anonymous() if user is None else _credentials(user, cluster, now),
        namespace=context.text("namespace") or "default",
    )


def _context(config: Kubeconfig, wanted: Wanted) -> Entry:
    name = wanted.context or config.current_context
    if name is None and wanted.cluster:
        return Entry("(none)", {}, config.sources[0])  # the cluster was named, and the user may be too
    if name is None:
        raise BadConfiguration(f"{config.where}: there is no current-context, and none was asked for")
    return _entry(config.contexts, "context", name, config)


def _entry(entries: Mapping[str, Entry], kind: str, name: str | None, config: Kubeconfig) -> Entry:
    if name is None:
        raise BadConfiguration(f"{config.where}: the context names no {kind}")
    entry = entries.get(name)
    if entry is None:
        raise BadConfiguration(f"{config.where}: there is no {kind} {name!r}")
    return entry


def _tls(cluster: Entry, user: Entry | None) -> TlsSettings:
    authorities = cluster.pem("certificate-authority")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure and authorities is not None:
        raise cluster.bad("insecure-skip-tls-verify", "and certificate-authority exclude each other")
    if insecure:
        _log.warning("the API server's certificate is not checked", cluster=cluster.name)
    certificate = key = None
    if user is not None:
        certificate, key = user.pem("client-certificate"), user.pem("client-key")
        if (certificate is None) is not (key is None):
            raise user.bad("client-certificate", "and client-key are not both given")
    return TlsSettings(
        authorities=authorities,
        certificate=certificate,
        key=key,
        server_name=cluster.text("tls-server-name"),
        insecure=insecure,
    )


def _credentials(user: Entry, cluster: Entry, now: Callable[[], float]) -> Credentials:
    token, token_file = user.text("token"), user.path("tokenFile")
    username = user.text("username")
    has_token = token is not None or token_file is not None
    if has_token and username is not None:
        raise user.bad("token", "and username exclude each other")
    if token_file is not None:
        return TokenFile(token_file, now)
    if token is not None:
        return Fixed.token(token)
    if username is not None:
        return Fixed.basic(username, user.text("password") or "")
    plugin = parse_plugin(user)
    if plugin is None or user.pem("client-certificate") is not None:
        return Anonymous()
    return ExecPlugin(plugin, PluginCluster.of(cluster) if plugin.provide_cluster_info else None, now)


def _bracketed(host: str) -> str:
    try:
        return f"[{IPv6Address(host)}]"
    except ValueError:
        return host


def _namespace_in(path: Path) -> str:
    try:
        return path.read_text().strip() or "default"
    except OSError:
        return "default"
