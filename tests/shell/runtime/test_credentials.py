"""Tokens that are written anew, and programs that print them."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from controller.runtime import exec_plugin
from controller.runtime.credentials import TokenFile
from controller.runtime.errors import Unauthenticated
from controller.runtime.exec_plugin import ExecPlugin, Plugin, PluginCluster, parse_plugin
from controller.runtime.kubeconfig import Entry
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat

# -- token files --


async def test_a_token_is_read_again_each_minute(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """A token that somebody replaces is used within a minute, without its white space."""
    # runtime C12, C15
    path = tmp_path / "token"
    path.write_text("  one\n")
    credentials = TokenFile(path)
    assert await credentials.authorization() == "Bearer one"
    path.write_text("two\n")
    await trio.sleep(59)
    assert await credentials.authorization() == "Bearer one"
    await trio.sleep(1)
    assert await credentials.authorization() == "Bearer two"


@pytest.mark.parametrize(
    "break_it", [Path.unlink, lambda path: path.write_text(" \n"), lambda path: path.write_bytes(b"\xff")]
)
async def test_a_token_that_cannot_be_read(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, break_it: Any
) -> None:
    """The last good token stays in use, with a warning; without one there is none to come with."""
    # runtime C12
    path = tmp_path / "token"
    path.write_text("one")
    credentials = TokenFile(path)
    await credentials.authorization()
    break_it(path)
    await trio.sleep(61)
    output = io.StringIO()
    with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
        assert await credentials.authorization() == "Bearer one"
    assert "keeping the last one" in output.getvalue()
    with pytest.raises(Unauthenticated, match=str(path)):
        await TokenFile(path).authorization()


async def test_a_refused_token_is_read_again_at_once(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """When the server refuses a token, the file may already hold the next."""
    # runtime C12
    path = tmp_path / "token"
    path.write_text("one")
    credentials = TokenFile(path)
    await credentials.authorization()
    path.write_text("two")
    await credentials.refresh()
    assert await credentials.authorization() == "Bearer two"


# -- plugins --

V1 = "client.authentication.k8s.io/v1"


class Script:
    """A program that writes down how it was run, and prints what a test wants."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "plugin"
        self.output = folder / "output"
        self.runs = folder / "runs"
        self.path.write_text(
            "#!/bin/sh\n"
            f'printf "%s\\n" "$KUBERNETES_EXEC_INFO" "$1 $2" "$FROM_CONFIG" "$HOME" >> {self.runs}\n'
            f"if [ -t 0 ]; then echo tty >> {self.runs}; fi\n"
            f". {folder}/extra\n"
            f"cat {self.output}\n"
        )
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        self.extra = folder / "extra"
        self.extra.write_text("")
        self.prints(token="one")

    def prints(self, *, api_version: str = V1, raw: str | None = None, **fields: Any) -> None:
        document = {"apiVersion": api_version, "kind": "ExecCredential", "status": fields}
        self.output.write_text(json.dumps(document) if raw is None else raw)

    @property
    def run_count(self) -> int:
        return self.runs.read_text().count("ExecCredential") if self.runs.exists() else 0

    def plugin(self, **fields: Any) -> Plugin:
        settings = {"apiVersion": V1, "command": str(self.path)} | fields
        plugin = parse_plugin(Entry("jane", {"exec": settings}, Path("/kube/config")))
        assert plugin is not None
        return plugin


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def credentials_of(script: Script, cluster: PluginCluster | None = None, **fields: Any) -> ExecPlugin:
    return ExecPlugin(script.plugin(**fields), cluster, lambda: 0.0, lambda: NOW, lambda: False)


async def test_how_a_plugin_is_run(script: Script) -> None:
    """It gets its arguments, our environment with its own on top, and is told who asks."""
    # runtime C13
    credentials = credentials_of(
        script, args=["get", "token"], env=[{"name": "FROM_CONFIG", "value": "yes"}, {"name": "HOME", "value": "/h"}]
    )
    assert await credentials.authorization() == "Bearer one"
    info, arguments, from_config, home = script.runs.read_text().splitlines()
    assert json.loads(info) == {"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False}}
    assert (arguments, from_config, home) == ("get token", "yes", "/h")


async def test_what_a_plugin_is_told_about_the_cluster(script: Script, tmp_path: Path) -> None:
    """If it wants to know, it is told about the cluster, with the authority's certificate inline."""
    # runtime C13
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    fields = {
        "server": "https://api",
        "certificate-authority": "ca.crt",
        "tls-server-name": "name",
        "extensions": [
            {"name": "other", "extension": 1},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}},
        ],
    }
    cluster = PluginCluster.of(Entry("one", fields, tmp_path / "config"))
    await credentials_of(script, cluster).authorization()
    assert json.loads(script.runs.read_text().splitlines()[0])["spec"]["cluster"] == {
        "server": "https://api",
        "tls-server-name": "name",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "config": {"audience": "x"},
    }


async def test_ten_at_once_run_it_once(script: Script) -> None:
    """While it runs, others wait for what it will say."""
    # runtime C13
    credentials = credentials_of(script)
    found: list[str | None] = []

    async def ask() -> None:
        found.append(await credentials.authorization())

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
    assert found == ["Bearer one"] * 10
    assert script.run_count == 1


async def test_expiry(script: Script) -> None:
    """What expires within a minute is asked for anew; what does not expire is kept."""
    # runtime C13
    now = 0.0
    script.prints(token="one", expirationTimestamp="2026-01-01T01:00:00Z")
    credentials = ExecPlugin(script.plugin(), None, lambda: now, lambda: NOW + dt.timedelta(seconds=now), lambda: False)
    await credentials.authorization()
    script.prints(token="two")
    now = 3539.0
    assert await credentials.authorization() == "Bearer one"
    now = 3540.0
    assert await credentials.authorization() == "Bearer two"
    now = 1e9
    assert await credentials.authorization() == "Bearer two"
    assert script.run_count == 2


async def test_refused_credentials_are_asked_for_anew(script: Script) -> None:
    """After the server has refused them, the program runs again, once for all who were refused."""
    # runtime C13
    credentials = credentials_of(script)
    await credentials.authorization()
    script.prints(token="two")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(credentials.refresh)
    assert await credentials.authorization() == "Bearer two"
    assert script.run_count == 2


async def test_certificates_of_a_plugin(script: Script) -> None:
    """A certificate comes along; the same one again is the same object, so that connections are kept."""
    # runtime C13
    script.prints(clientCertificateData="CERT", clientKeyData="KEY")
    credentials = credentials_of(script)
    assert credentials.certificate() is None
    assert await credentials.authorization() is None
    first = credentials.certificate()
    assert first is not None
    assert (first.certificate, first.key) == (b"CERT", b"KEY")
    assert "KEY" not in repr(first)
    await credentials.refresh()
    assert credentials.certificate() is first
    script.prints(clientCertificateData="CERT2", clientKeyData="KEY")
    await credentials.refresh()
    assert credentials.certificate() is not first


async def test_yaml_is_fine(script: Script) -> None:
    """Programs may print YAML."""
    script.prints(raw=f"apiVersion: {V1}\nstatus:\n  token: y\n  expirationTimestamp: 2026-01-01T00:30:00Z\n")
    assert await credentials_of(script).authorization() == "Bearer y"


# runtime C13
@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ({"token": "t", "api_version": "client.authentication.k8s.io/v1beta1"}, "has apiVersion"),
        ({}, "neither a token nor a certificate"),
        ({"token": ""}, "neither a token nor a certificate"),
        ({"clientCertificateData": "c"}, "neither a token nor a certificate"),
        ({"token": "t", "expirationTimestamp": "soon"}, "not a time"),
        ({"raw": "se{cret"}, "is not an ExecCredential"),
        ({"raw": "[]"}, "is not an ExecCredential"),
        ({"raw": "{}"}, "is not an ExecCredential"),
    ],
)
async def test_what_makes_no_sense(script: Script, printed: dict[str, Any], said: str) -> None:
    """What a program prints is checked, and never shown: it may be secret."""
    script.prints(**printed)
    with pytest.raises(Unauthenticated, match=said) as caught:
        await credentials_of(script).authorization()
    assert "cret" not in repr(caught.value)
    assert caught.value.__cause__ is None or "cret" not in str(caught.value.__cause__)


async def test_programs_that_fail(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """A program that fails has said why; one that is not there comes with its hint."""
    # runtime C13
    script.extra.write_text("echo it is closed >&2; exit 3")
    with pytest.raises(Unauthenticated, match="ended with 3"):
        await credentials_of(script).authorization()
    assert "it is closed" in capfd.readouterr().err
    with pytest.raises(Unauthenticated, match=r"no program 'no-such-plugin'. Get it there"):
        await credentials_of(script, command="no-such-plugin", installHint="Get it there").authorization()
    script.extra.write_text("")
    script.path.write_text("#!/no/such/interpreter\n")
    with pytest.raises(Unauthenticated, match=str(script.path)):
        await credentials_of(script).authorization()


async def test_a_program_that_hangs(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program has a time limit, and is ended at it; the next one in line gets a run of its own."""
    # runtime C13
    monkeypatch.setattr(exec_plugin, "TIMEOUT_SECONDS", 0.3)
    script.extra.write_text("exec sleep 1000")
    credentials = credentials_of(script)
    with pytest.raises(Unauthenticated, match="took longer than"):
        await credentials.authorization()
    script.extra.write_text("")
    assert await credentials.authorization() == "Bearer one"


@pytest.mark.parametrize(
    ("mode", "terminal", "interactive"),
    [("Never", True, False), ("IfAvailable", False, False), ("IfAvailable", True, True), ("Always", True, True)],
)
async def test_programs_that_ask_somebody(script: Script, mode: str, terminal: bool, interactive: bool) -> None:
    """A program may talk to a terminal if there is one and it wants to."""
    # runtime C13
    credentials = ExecPlugin(script.plugin(interactiveMode=mode), None, lambda: 0.0, lambda: NOW, lambda: terminal)
    await credentials.authorization()
    assert json.loads(script.runs.read_text().splitlines()[0])["spec"] == {"interactive": interactive}


async def test_a_program_that_needs_a_terminal(script: Script) -> None:
    """Where there is none, that is the error."""
    # runtime C13
    with pytest.raises(Unauthenticated, match="needs a terminal"):
        await credentials_of(script, interactiveMode="Always").authorization()
    assert script.run_count == 0


async def test_a_cancelled_caller_holds_nobody_up(script: Script) -> None:
    """Whoever is cancelled while the program runs leaves the way free for the next."""
    script.extra.write_text("exec sleep 1000")
    credentials = credentials_of(script)
    with trio.move_on_after(0.2) as scope:
        await credentials.authorization()
    assert scope.cancelled_caught
    script.extra.write_text("")
    assert await credentials.authorization() == "Bearer one"
    assert os.environ.get("KUBERNETES_EXEC_INFO") is None
