"""`trellis manifests`: from flags to YAML on standard output."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.analysis.manifests.installation import (
    CertificateInSecret,
    Installation,
    WebhookCertificate,
    WebhookChoice,
)
from controller.analysis.manifests.linkerd import linkerd_patch
from controller.analysis.manifests.render import manifests_yaml
from controller.analysis.manifests.workload import run_arguments
from controller.cli.certificate import make_certificate, read_certificate
from controller.cli.flag import Usage
from controller.cli.manifest_flags import DAYS, ManifestFlags, check
from controller.k8s.custom_resource import to_yaml

_NEW = (
    "trellis: the certificate of the webhook is a new one. For output that stays the same, make one that stays: "
    "`trellis certificate FOLDER`, then `trellis manifests --webhook-tls FOLDER`"
)


def print_manifests(
    flags: ManifestFlags, arguments: Sequence[str], version: str, check_run: Callable[[Sequence[str]], None]
) -> int:
    """Print what the flags ask for. Raises `Usage`, and what `check_run` has against the command line in it."""
    check(flags, arguments)
    if flags.linkerd:
        patch = linkerd_patch(namespace=flags.control_plane_namespace, image=_image(flags, version))
        print(to_yaml(patch), end="")
        return 0
    installation = to_installation(flags, arguments, version)
    check_run(run_arguments(installation))
    if not (flags.no_webhook or flags.webhook_secret or flags.webhook_tls):
        print(_NEW, file=sys.stderr)
    print(manifests_yaml(installation), end="")
    return 0


def _image(flags: ManifestFlags, version: str) -> str:
    return flags.image or f"trellis:{_label(version)}"


def _label(version: str) -> str:
    """The version as labels and tags may have it: without the `+` of a local one."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", version).strip("-._")


def to_installation(flags: ManifestFlags, arguments: Sequence[str], version: str) -> Installation:
    """Read what files there are to read, and make up what nobody has chosen. Raises `Usage`."""
    return Installation(
        image=_image(flags, version),
        version=_label(version),
        namespace=flags.namespace,
        control_plane_namespace=flags.control_plane_namespace,
        replicas=flags.replicas or (3 if flags.ha else 1),
        spread="required" if flags.ha else "preferred",
        memory=flags.memory,
        ipv6=flags.ipv6,
        arguments=tuple(arguments),
        webhook=None if flags.no_webhook else _webhook(flags),
        with_crds=not flags.no_crds,
        with_gateway_api=flags.gateway_api,
        with_namespace=not flags.no_namespace,
        with_pod_monitor=flags.pod_monitor,
    )


def _webhook(flags: ManifestFlags) -> WebhookChoice:
    return WebhookChoice(
        certificate=_certificate(flags),
        failure_policy=flags.webhook_failure_policy or ("Fail" if flags.ha else "Ignore"),
    )


def _certificate(flags: ManifestFlags) -> WebhookCertificate:
    if flags.webhook_secret is not None:
        ca = None if flags.webhook_ca is None else _read(flags.webhook_ca)
        return CertificateInSecret(secret=flags.webhook_secret, ca=ca, inject_ca_from=flags.webhook_inject_ca_from)
    if flags.webhook_tls is not None:
        return read_certificate(flags.webhook_tls)
    return make_certificate(flags.namespace, days=DAYS)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(f"reading {path}: {error.strerror}") from error
