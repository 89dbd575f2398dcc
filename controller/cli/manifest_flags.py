"""The flags of `trellis manifests`, and what of them goes together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Group, Parameter

from controller.cli import values
from controller.cli.flag import Usage, flag

_WHAT = Group("What to print", sort_key=0)
_WHERE = Group("Where", sort_key=1)
_PODS = Group("Pods", sort_key=2)
_WEBHOOK = Group("Webhook", sort_key=3)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MEMORY = re.compile(r"[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?")
_IMAGE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._:/@]*")


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return parse


def _parse_days(text: str) -> int:
    days = values.parse_count(text)
    if days > _MOST_DAYS:
        raise ValueError(f"{text!r} is more than ten years")
    return days


_MOST_DAYS = 3653
DAYS = 365  # a certificate is good for

to_namespace = values.converter(_matching(_LABEL, "the name of a namespace"))
to_days = values.converter(_parse_days)
_to_secret = values.converter(_matching(_NAME, "the name of a Secret"))
_to_certificate = values.converter(_matching(re.compile(f"{_LABEL.pattern}/{_NAME.pattern}"), "NAMESPACE/NAME"))
_to_memory = values.converter(_matching(_MEMORY, "an amount of memory, such as 256Mi"))
_to_image = values.converter(_matching(_IMAGE, "the name of an image"))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ManifestFlags:
    """What the command line says, each flag by itself."""

    linkerd: Annotated[
        bool,
        flag("Only the patch that puts Trellis in the place of the policy container of a Linkerd installation.", _WHAT),
    ] = False
    no_crds: Annotated[bool, flag("No CustomResourceDefinitions: Linkerd has installed its own.", _WHAT)] = False
    gateway_api: Annotated[bool, flag("Also stand-ins for the Gateway API's kinds.", _WHAT)] = False
    no_namespace: Annotated[bool, flag("No Namespace: it exists.", _WHAT)] = False
    no_webhook: Annotated[bool, flag("No admission webhook.", _WHAT)] = False
    pod_monitor: Annotated[bool, flag("Also a PodMonitor, for the Prometheus operator.", _WHAT)] = False

    namespace: Annotated[str, flag("Where Trellis is to run.", _WHERE, to_namespace, "trellis")] = "trellis"
    control_plane_namespace: Annotated[
        str,
        flag("Linkerd's namespace. The Lease lies there, so it must exist.", _WHERE, to_namespace, "linkerd"),
    ] = "linkerd"

    image: Annotated[str | None, flag("The image.", _PODS, _to_image, "trellis:VERSION")] = None
    replicas: Annotated[int | None, flag("How many pods.", _PODS, values.to_count, "1, or 3 with --ha")] = None
    ha: Annotated[
        bool, flag("Three pods, no two on one node, and manifests are refused while none can judge them.", _PODS)
    ] = False
    memory: Annotated[str, flag("Memory of a pod.", _PODS, _to_memory, "256Mi")] = "256Mi"
    ipv6: Annotated[bool, flag("Listen on IPv6, too.", _PODS)] = False

    webhook_failure_policy: Annotated[
        Literal["Fail", "Ignore"] | None,
        flag("What becomes of a manifest that nobody can judge.", _WEBHOOK, shown="Ignore, or Fail with --ha"),
    ] = None
    webhook_tls: Annotated[
        Path | None,
        flag(
            "Folder with tls.crt, tls.key and ca.crt, from `trellis certificate` or elsewhere.",
            _WEBHOOK,
            shown="new ones each time",
        ),
    ] = None
    webhook_secret: Annotated[
        str | None, flag("Name of a Secret that has or will have tls.crt and tls.key.", _WEBHOOK, _to_secret)
    ] = None
    webhook_ca: Annotated[
        Path | None, flag("PEM file with the authority of the certificate in --webhook-secret.", _WEBHOOK)
    ] = None
    webhook_inject_ca_from: Annotated[
        str | None,
        flag(
            "NAMESPACE/NAME of the Certificate whose authority cert-manager is to fill in.", _WEBHOOK, _to_certificate
        ),
    ] = None


NO_MANIFEST_FLAGS = ManifestFlags()

_WITH_LINKERD = {"linkerd", "image", "control_plane_namespace"}
_OF_WEBHOOK = ("webhook_failure_policy", "webhook_tls", "webhook_secret", "webhook_ca", "webhook_inject_ca_from")


def check(flags: ManifestFlags, arguments: Sequence[str]) -> None:
    """Raise `Usage` for flags that do not make sense together."""
    given = _given(flags)
    if flags.linkerd:
        for name in given:
            if name not in _WITH_LINKERD:
                raise Usage(f"{_spelled(name)} and --linkerd do not go together: all but the image is the chart's")
        if arguments:
            raise Usage("arguments and --linkerd do not go together: they are the chart's")
    if flags.no_crds and flags.gateway_api:
        raise Usage("--gateway-api and --no-crds do not go together")
    if flags.no_webhook:
        for name in _OF_WEBHOOK:
            if name in given:
                raise Usage(f"{_spelled(name)} and --no-webhook do not go together")
    _check_certificate(flags)


def _check_certificate(flags: ManifestFlags) -> None:
    authorities = (flags.webhook_ca, flags.webhook_inject_ca_from)
    if flags.webhook_secret is None:
        if any(authority is not None for authority in authorities):
            raise Usage("--webhook-ca and --webhook-inject-ca-from need --webhook-secret")
        return
    if flags.webhook_tls is not None:
        raise Usage("--webhook-tls and --webhook-secret do not go together")
    if sum(authority is not None for authority in authorities) != 1:
        raise Usage("--webhook-secret needs --webhook-ca or --webhook-inject-ca-from")


def _given(flags: ManifestFlags) -> Mapping[str, object]:
    default = attrs.asdict(NO_MANIFEST_FLAGS)
    return {name: value for name, value in attrs.asdict(flags).items() if value != default[name]}


def _spelled(name: str) -> str:
    return "--" + name.replace("_", "-")
