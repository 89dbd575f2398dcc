"""Credentials that a program of the user's gives us: the exec plugins of kubeconfig files."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio
import yaml

from controller.runtime.credentials import ClientCertificate
from controller.runtime.endpoint import BadConfiguration
from controller.runtime.errors import Unauthenticated
from controller.runtime.kubeconfig import Entry, as_list, as_mapping
from controller.runtime.log import get_logger

_log = get_logger(__name__)

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
TIMEOUT_SECONDS = 60.0
MARGIN_SECONDS = 60.0  # credentials that expire within so long are renewed before
_EXTENSION = "client.authentication.k8s.io/exec"


@attrs.frozen(kw_only=True)
class Plugin:
    """How to run the program."""

    api_version: str
    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(repr=False)
    install_hint: str
    interactive_mode: str  # Never, IfAvailable, Always
    provide_cluster_info: bool
    where: str  # for errors


@attrs.frozen
class PluginCluster:
    """What the program is told about the cluster, if it wants to know."""

    fields: Mapping[str, Any]

    @classmethod
    def of(cls, cluster: Entry) -> PluginCluster:
        authorities = cluster.pem("certificate-authority")
        fields: dict[str, Any] = {
            "server": cluster.text("server"),
            "tls-server-name": cluster.text("tls-server-name"),
            "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify") or None,
            "certificate-authority-data": None
            if authorities is None
            else base64.b64encode(authorities.read()).decode("ascii"),
            "proxy-url": cluster.text("proxy-url"),
            "config": _extension(cluster),
        }
        return cls({name: value for name, value in fields.items() if value is not None})


def parse_plugin(user: Entry) -> Plugin | None:
    """Read the `exec` part of a user."""
    fields = user.mapping("exec")
    if fields is None:
        return None
    plugin = Entry(user.name, fields, user.source)
    where = f"{user.source}: exec of {user.name!r}"
    api_version, command = plugin.text("apiVersion"), plugin.text("command")
    if api_version not in API_VERSIONS:
        raise BadConfiguration(f"{where}: apiVersion {api_version!r} is none of {', '.join(API_VERSIONS)}")
    if command is None:
        raise BadConfiguration(f"{where}: there is no command")
    mode = plugin.text("interactiveMode") or "IfAvailable"
    if mode not in ("Never", "IfAvailable", "Always"):
        raise BadConfiguration(f"{where}: interactiveMode {mode!r} is none of Never, IfAvailable, Always")
    variables = [as_mapping(item, f"{where}: env") for item in as_list(fields.get("env"), f"{where}: env")]
    return Plugin(
        api_version=api_version,
        command=str(user.source.parent / command) if os.sep in command else command,
        arguments=tuple(str(argument) for argument in as_list(fields.get("args"), f"{where}: args")),
        environment={str(variable.get("name")): str(variable.get("value", "")) for variable in variables},
        install_hint=plugin.text("installHint") or "",
        interactive_mode=mode,
        provide_cluster_info=plugin.flag("provideClusterInfo"),
        where=where,
    )


@attrs.frozen
class _Credential:
    """What the program said."""

    token: str | None = attrs.field(repr=False)
    certificate: ClientCertificate | None
    expires: float | None  # an instant on our clock


@attrs.define(eq=False)
class ExecPlugin:
    """Runs the program when credentials are needed, and keeps what it says for as long as that is good.

    One run at a time; who comes meanwhile waits for it. A caller that is cancelled takes its run with it, and the next
    one in line begins another.
    """

    _plugin: Plugin
    _cluster: PluginCluster | None
    _now: Callable[[], float] = trio.current_time
    _wall: Callable[[], dt.datetime] = attrs.field(default=lambda: dt.datetime.now(dt.UTC))
    _is_terminal: Callable[[], bool] = attrs.field(default=lambda: sys.stdin is not None and sys.stdin.isatty())
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _credential: _Credential | None = attrs.field(default=None, init=False)
    _generation: int = attrs.field(default=0, init=False)

    async def authorization(self) -> str | None:
        async with self._lock:
            credential = self._credential
            if credential is None or self._is_old(credential):
                credential = await self._renew()
        return None if credential.token is None else f"Bearer {credential.token}"

    async def refresh(self) -> None:
        seen = self._generation
        async with self._lock:
            if seen == self._generation:  # else somebody has been quicker
                await self._renew()

    def certificate(self) -> ClientCertificate | None:
        return None if self._credential is None else self._credential.certificate

    def _is_old(self, credential: _Credential) -> bool:
        return credential.expires is not None and self._now() >= credential.expires - MARGIN_SECONDS

    async def _renew(self) -> _Credential:
        credential = self._parse(await self._run())
        if self._credential is not None and credential.certificate == self._credential.certificate:
            # The same object, so that connections are made anew only for a certificate that is.
            credential = attrs.evolve(credential, certificate=self._credential.certificate)
        self._credential = credential
        self._generation += 1
        return credential

    async def _run(self) -> bytes:
        plugin = self._plugin
        interactive = self._interactive()
        program = shutil.which(plugin.command)
        if program is None:
            hint = f". {plugin.install_hint}" if plugin.install_hint else ""
            raise Unauthenticated(f"{plugin.where}: there is no program {plugin.command!r}{hint}", reason="exec")
        with trio.move_on_after(TIMEOUT_SECONDS):
            try:
                result = await trio.run_process(
                    [program, *plugin.arguments],
                    stdin=None if interactive else subprocess.DEVNULL,
                    capture_stdout=True,
                    stderr=None,
                    check=False,
                    env={**os.environ, **plugin.environment, "KUBERNETES_EXEC_INFO": self._info(interactive)},
                )
            except OSError as error:
                raise Unauthenticated(f"{plugin.where}: {plugin.command}: {error}", reason="exec") from error
            if result.returncode:
                raise Unauthenticated(
                    f"{plugin.where}: {plugin.command} ended with {result.returncode}; it has said why", reason="exec"
                )
            return result.stdout
        raise Unauthenticated(f"{plugin.where}: {plugin.command} took longer than {TIMEOUT_SECONDS:g} s", reason="exec")

    def _interactive(self) -> bool:
        mode = self._plugin.interactive_mode
        if mode == "Never":
            return False
        terminal = self._is_terminal()
        if mode == "Always" and not terminal:
            raise Unauthenticated(
                f"{self._plugin.where}: the program needs a terminal, and there is none", reason="exec"
            )
        return terminal

    def _info(self, interactive: bool) -> str:
        spec: dict[str, Any] = {"interactive": interactive}
        if self._cluster is not None:
            spec["cluster"] = self._cluster.fields
        return json.dumps({"kind": "ExecCredential", "apiVersion": self._plugin.api_version, "spec": spec})

    def _parse(self, output: bytes) -> _Credential:
        where = f"{self._plugin.where}: what {self._plugin.command} printed"
        try:
            document = as_mapping(yaml.safe_load(output), where)
            status = as_mapping(document.get("status"), f"{where}: status")
        except (yaml.YAMLError, UnicodeDecodeError, BadConfiguration):
            # Neither chained nor quoted: the output may hold secrets.
            raise Unauthenticated(f"{where} is not an ExecCredential", reason="exec") from None
        if document.get("apiVersion") != self._plugin.api_version:
            raise Unauthenticated(
                f"{where} has apiVersion {document.get('apiVersion')!r}, not {self._plugin.api_version}", reason="exec"
            )
        token = status.get("token") or None
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if bool(certificate) is not bool(key) or not (token or certificate):
            raise Unauthenticated(f"{where} has neither a token nor a certificate with its key", reason="exec")
        return _Credential(
            None if token is None else str(token).strip(),
            ClientCertificate(str(certificate).encode(), str(key).encode()) if certificate else None,
            self._expiry(status.get("expirationTimestamp"), where),
        )

    def _expiry(self, value: Any, where: str) -> float | None:
        if value is None:
            return None
        try:
            expires = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
        except ValueError as error:
            raise Unauthenticated(f"{where}: expirationTimestamp is not a time: {value!r}", reason="exec") from error
        if expires.tzinfo is None:
            expires = expires.replace(tzinfo=dt.UTC)
        return self._now() + (expires - self._wall()).total_seconds()


def _extension(cluster: Entry) -> Any:
    where = f"{cluster.source}: extensions of {cluster.name!r}"
    for item in as_list(cluster.fields.get("extensions"), where):
        extension = as_mapping(item, where)
        if extension.get("name") == _EXTENSION:
            return extension.get("extension")
    return None
