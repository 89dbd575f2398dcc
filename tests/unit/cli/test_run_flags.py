"""The flags of `trellis run`."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.app_config import ClusterAccess, RunConfig, WebhookConfig
from controller.cli.app import app, main
from controller.cli.flag import Usage
from controller.cli.limit_flags import NO_LIMIT_FLAGS
from controller.cli.run_flags import RunFlags, to_run_config
from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.network import IPNet
from controller.core.ports import PortSet
from controller.grpc.transport.limits import Limits
from controller.k8s.cidr import parse_cidr
from controller.runtime.listen import SocketAddress
from controller.runtime.log_filter import LogFilter, LogFormat

REQUIRED = ("--default-opaque-ports=", "--admission-controller-disabled")


def parse(*arguments: str, environ: Mapping[str, str] | None = None) -> RunConfig:
    _, bound, _ = app.parse_args(["run", *arguments], exit_on_error=False, print_error=False)
    flags = bound.arguments.get("flags", RunFlags())
    limits = bound.arguments.get("limits", NO_LIMIT_FLAGS)
    return to_run_config(flags, {"HOSTNAME": "pod-0"} if environ is None else environ, limits)


def nets(*texts: str) -> tuple[IPNet, ...]:
    return tuple(IPNet(*parse_cidr(text)) for text in texts)


def test_the_defaults_are_upstreams() -> None:
    """What nobody says is what upstream's controller takes for granted."""
    assert parse(*REQUIRED) == RunConfig(
        cluster=ClusterConfig(
            control_plane_namespace="linkerd",
            identity_domain="cluster.local",
            cluster_domain="cluster.local",
            cluster_networks=nets("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
            default_policy=DefaultPolicy.ALL_UNAUTHENTICATED,
            probe_networks=(),
            detect_timeout=dt.timedelta(seconds=10),
            default_opaque_ports=PortSet(),
            allow_l5d_request_headers=False,
            global_egress_network_namespace="linkerd-egress",
        ),
        access=ClusterAccess(
            kubeconfig=None,
            context=None,
            cluster=None,
            user=None,
            as_user=None,
            as_groups=(),
            response_headers_timeout=9.0,
        ),
        log_filter=LogFilter.parse("linkerd=info,warn"),
        log_format=LogFormat.PLAIN,
        admin_address=SocketAddress.of("0.0.0.0", 8080),
        grpc_address=SocketAddress.of("0.0.0.0", 8090),
        webhook=None,
        policy_deployment_name="linkerd-destination",
        hostname="pod-0",
        patch_timeout=5.0,
        grace_period=25.0,
        shutdown_delay=0.0,
        max_staleness=math.inf,
        open_diagnostics=False,
    )


def test_the_arguments_of_the_chart() -> None:
    """What Linkerd's chart passes to its policy container is understood, word for word."""
    config = parse(
        "--admin-addr=[::]:9990",
        "--control-plane-namespace=mesh",
        "--grpc-addr=[::]:8090",
        "--server-addr=[::]:9443",
        "--server-tls-key=/var/run/linkerd/tls/tls.key",
        "--server-tls-certs=/var/run/linkerd/tls/tls.crt",
        "--cluster-networks=10.0.0.0/8,fd00::/8",
        "--identity-domain=id.example",
        "--cluster-domain=c.example",
        "--default-policy=cluster-authenticated",
        "--log-level=info",
        "--log-format=json",
        "--default-opaque-ports=25,587,3306,4444,5432,6379,9300,11211",
        "--global-egress-network-namespace=egress",
        "--probe-networks=0.0.0.0/0,::/0",
    )

    assert config == RunConfig(
        cluster=ClusterConfig(
            control_plane_namespace="mesh",
            identity_domain="id.example",
            cluster_domain="c.example",
            cluster_networks=nets("10.0.0.0/8", "fd00::/8"),
            default_policy=DefaultPolicy.CLUSTER_AUTHENTICATED,
            probe_networks=nets("0.0.0.0/0", "::/0"),
            default_opaque_ports=PortSet.of((port, port) for port in (25, 587, 3306, 4444, 5432, 6379, 9300, 11211)),
            global_egress_network_namespace="egress",
        ),
        log_filter=LogFilter.parse("info"),
        log_format=LogFormat.JSON,
        admin_address=SocketAddress.of("::", 9990),
        grpc_address=SocketAddress.of("::", 8090),
        webhook=WebhookConfig(
            address=SocketAddress.of("::", 9443),
            tls_key=Path("/var/run/linkerd/tls/tls.key"),
            tls_certs=Path("/var/run/linkerd/tls/tls.crt"),
        ),
        hostname="pod-0",
    )


def test_the_remaining_flags() -> None:
    """Whatever the chart does not pass can be said too, with a blank or an equals sign."""
    config = parse(
        *REQUIRED,
        "--kubeconfig",
        "/k",
        "--context=ctx",
        "--cluster",
        "c",
        "--user=u",
        "--as=system:me",
        "--as-group=a",
        "--as-group",
        "b",
        "--kube-api-response-headers-timeout=1m1.5s",
        "--policy-deployment-name=d",
        "--patch-timeout-ms=250",
        "--allow-l5d-request-headers",
        "--shutdown-grace-period=10s",
        "--shutdown-delay=1500ms",
        "--max-staleness=2m",
        "--open-diagnostics",
    )

    assert config.access == ClusterAccess(
        kubeconfig=Path("/k"),
        context="ctx",
        cluster="c",
        user="u",
        as_user="system:me",
        as_groups=("a", "b"),
        response_headers_timeout=61.5,
    )
    assert config.cluster.allow_l5d_request_headers
    assert (config.policy_deployment_name, config.patch_timeout) == ("d", 0.25)
    assert (config.grace_period, config.shutdown_delay, config.max_staleness) == (10.0, 1.5, 120.0)
    assert config.open_diagnostics


def test_each_limit_of_the_policy_api_has_a_flag() -> None:
    """Rates bring their bursts along; what nobody says stays what it is."""
    config = parse(
        *REQUIRED,
        "--grpc-max-connections=1",
        "--grpc-max-connections-per-peer=2",
        "--grpc-max-concurrent-streams=3",
        "--grpc-max-new-streams-per-second=4",
        "--grpc-max-resets-per-second=5",
        "--grpc-max-header-bytes=6",
        "--grpc-max-message-bytes=7",
        "--grpc-max-buffered-bytes=8",
        "--grpc-max-stream-age=1h",
        "--grpc-idle-timeout=9s",
        "--grpc-keepalive-interval=10s",
    )

    assert config.grpc_limits == Limits(
        connections=1,
        connections_per_peer=2,
        concurrent_streams=3,
        new_streams_per_second=4,
        new_streams_burst=8,
        resets_per_second=5,
        resets_burst=50,
        header_list_size=6,
        message_size=7,
        buffered_bytes=8,
        stream_age_seconds=3600.0,
        idle_seconds=9.0,
        keepalive_seconds=10.0,
    )
    assert parse(*REQUIRED).grpc_limits == Limits()


def test_the_log_level_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's variable sets the filter; a flag is stronger."""
    monkeypatch.setenv("LINKERD_POLICY_CONTROLLER_LOG", "controller=trace")

    assert parse(*REQUIRED).log_filter == LogFilter.parse("controller=trace")
    assert parse(*REQUIRED, "--log-level=off").log_filter == LogFilter.parse("off")


def test_the_host_has_a_name_anyway() -> None:
    """Where HOSTNAME is not set, as in most shells, the system is asked."""
    assert parse(*REQUIRED, environ={}).hostname
    assert parse(*REQUIRED, environ={"HOSTNAME": "web-1"}).hostname == "web-1"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::]:65535", "::", 65535),
        ("[fd00::1]:1", "fd00::1", 1),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    """An address is an IP address, in brackets if it is of version 6, and a port; it prints as it is written."""
    address = parse(*REQUIRED, f"--admin-addr={text}").admin_address

    assert address == SocketAddress.of(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "localhost:80",
        "8080",
        ":8080",
        "1.2.3.4",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "::1:80",
        "[::1]",
        "[1.2.3.4]:80",
        "1.2.3:80",
        "",
        "01.2.3.4:80",
    ],
)
def test_what_is_no_address(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of hosts, missing ports and missing brackets are refused."""
    assert main(["run", *REQUIRED, f"--admin-addr={text}"]) == 2

    assert f"--admin-addr: {text!r} is not an IP address and a port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("--default-opaque-ports=80,0", "Invalid value for --default-opaque-ports: '0' is not a port"),
        ("--default-opaque-ports=9-8", "Invalid value for --default-opaque-ports: port range '9-8' ends before"),
        ("--cluster-networks=", "Invalid value for --cluster-networks: '' is not a list of CIDRs"),
        ("--cluster-networks=10.0.0.0", "Invalid value for --cluster-networks: '10.0.0.0' is not a list of CIDRs"),
        ("--cluster-networks=10.0.0.0/8, fd00::/8", "Invalid value for --cluster-networks"),
        ("--probe-networks=10.0.0.0/33", "Invalid value for --probe-networks"),
        ("--default-policy=Deny", "Invalid value for --default-policy: 'Deny' is not one of all-authenticated"),
        ("--log-level=a=loud", "Invalid value for --log-level: log filter 'a=loud': 'loud' is not a level"),
        ("--log-format=xml", "Invalid value for --log-format: log format 'xml': must be plain or json"),
        ("--kube-api-response-headers-timeout=9", "--kube-api-response-headers-timeout: duration '9': expected"),
        ("--kube-api-response-headers-timeout=", "'' is not a positive duration"),
        ("--kube-api-response-headers-timeout=-9s", "'-9s' is not a positive duration"),
        ("--kube-api-response-headers-timeout=0", "'0' is not a positive duration"),
        ("--patch-timeout-ms=1.5", "Invalid value for --patch-timeout-ms: '1.5' is not a number of milliseconds"),
        ("--patch-timeout-ms=18446744073709551616", "is not a number of milliseconds"),
        ("--patch-timeout-ms=" + "9" * 5000, "is not a number of milliseconds"),
        ("--shutdown-delay=", "Invalid value for --shutdown-delay: '' is not a positive duration"),
        ("--grpc-max-connections=0", "Invalid value for --grpc-max-connections: '0' is not a whole number above 0"),
        ("--grpc-max-connections=1e3", "is not a whole number above 0"),
        ("--no-such-flag", "Unknown option: --no-such-flag"),
        ("--user=a --user=b", "--user specified multiple times"),
        ("extra", "Unused Tokens: ['extra']"),
        ("--kubeconfig", "--kubeconfig requires an argument"),
    ],
)
def test_a_bad_flag_is_one_line(argument: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line that names the flag and says what would do."""
    arguments = argument.split(" --") if " --" in argument else [argument]
    arguments = [arguments[0], *("--" + other for other in arguments[1:])]

    assert main(["run", *REQUIRED[1:], *arguments]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("trellis: ")
    assert output.err.count("\n") == 1
    assert complaint in output.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--admission-controller-disabled"], "--default-opaque-ports must be set"),
        (["--default-opaque-ports="], "--server-tls-key must be set"),
        (["--default-opaque-ports=", "--server-tls-key=/k"], "--server-tls-certs must be set"),
        ([*REQUIRED, "--as-group=g"], "--as-group needs --as"),
        ([*REQUIRED, "--grpc-addr=0.0.0.0:8080"], "--admin-addr and --grpc-addr are both 0.0.0.0:8080"),
        (
            ["--default-opaque-ports=", "--server-tls-key=/k", "--server-tls-certs=/c", "--server-addr=0.0.0.0:8090"],
            "--grpc-addr and --server-addr are both 0.0.0.0:8090",
        ),
        ([*REQUIRED, "--shutdown-delay=25s"], "--shutdown-delay must be shorter than --shutdown-grace-period"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], complaint: str) -> None:
    """Each flag is fine, but not with, or without, another."""
    with pytest.raises(Usage, match=re.escape(complaint)):
        parse(*arguments)


def test_what_only_looks_like_a_conflict_is_not() -> None:
    """Ports that the system chooses never collide, nor does the address of a webhook that is switched off."""
    parse(*REQUIRED, "--admin-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--server-addr=0.0.0.0:8080")


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed by the command and by the flag."""
    assert main(arguments) == 0

    assert re.match(r"\d", capsys.readouterr().out)


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag of the configuration has its line of help."""
    assert main(["run", "--help"]) == 0

    shown = "".join(capsys.readouterr().out.split())
    for name in ("--log-level", "--kubeconfig", "--admin-addr", "--grpc-addr", "--server-tls-key", "--default-policy"):
        assert name in shown


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the commands there are."""
    assert main(["rum"]) == 2

    assert "run" in capsys.readouterr().err
