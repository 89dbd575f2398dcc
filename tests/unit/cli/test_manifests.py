"""`trellis manifests` and `trellis certificate`, as commands."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from controller.cli.app import main
from controller.cli.manifest_flags import ManifestFlags
from controller.cli.manifests import to_installation


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert main(["manifests", *arguments]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def kinds(documents: list[Any]) -> set[str]:
    return {document["kind"] for document in documents}


def find(documents: list[Any], kind: str) -> Any:
    return next(document for document in documents if document["kind"] == kind)


def test_everything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With no flags at all, what has to be applied; options add to it, and take away."""
    everything = {
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Service",
        "Secret",
        "Deployment",
        "PodDisruptionBudget",
        "ValidatingWebhookConfiguration",
    }

    assert kinds(printed(capsys)) == everything
    assert kinds(printed(capsys, "--pod-monitor")) == everything | {"PodMonitor"}
    assert everything - kinds(printed(capsys, "--no-crds", "--no-namespace", "--no-webhook")) == {
        "CustomResourceDefinition",
        "Namespace",
        "Secret",
        "ValidatingWebhookConfiguration",
    }


def test_high_availability(capsys: pytest.CaptureFixture[str]) -> None:
    """Three replicas apart and a webhook that must be asked, unless something else is said."""

    def chosen(*arguments: str) -> tuple[int, bool, str]:
        documents = printed(capsys, "--no-crds", *arguments)
        spec = find(documents, "Deployment")["spec"]
        [webhook] = find(documents, "ValidatingWebhookConfiguration")["webhooks"]
        return spec["replicas"], "affinity" in spec["template"]["spec"], webhook["failurePolicy"]

    assert chosen() == (1, False, "Ignore")
    assert chosen("--ha") == (3, True, "Fail")
    assert chosen("--ha", "--replicas=2", "--webhook-failure-policy=Ignore") == (2, True, "Ignore")


def test_the_image_is_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless another one is named."""

    def image(*arguments: str) -> str:
        pod = find(printed(capsys, "--no-crds", *arguments), "Deployment")["spec"]["template"]["spec"]
        return str(pod["containers"][0]["image"])

    assert image().startswith("trellis:")
    assert image("--image=registry.example:5000/a/b@sha256:0") == "registry.example:5000/a/b@sha256:0"


def test_any_version_will_do() -> None:
    """Labels and tags take fewer characters than versions have."""
    for version, label in (("1.2.3+local.1", "1.2.3-local.1"), ("0 (not installed)", "0-not-installed")):
        installation = to_installation(ManifestFlags(no_webhook=True), (), version)
        assert (installation.version, installation.image) == (label, f"trellis:{label}")


def test_a_new_certificate_is_announced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Output with one is never the same again; with one that is kept it is."""
    folder = tmp_path / "tls"
    main(["manifests", "--no-crds"])
    first, complaint = capsys.readouterr()
    main(["manifests", "--no-crds"])
    assert first != capsys.readouterr().out
    assert "trellis certificate FOLDER" in complaint

    assert main(["certificate", str(folder)]) == 0
    main(["manifests", "--no-crds", f"--webhook-tls={folder}"])
    first, complaint = capsys.readouterr()
    main(["manifests", "--no-crds", f"--webhook-tls={folder}"])
    assert first == capsys.readouterr().out
    assert complaint == ""


def test_the_patch_for_linkerd(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the patch, for the namespace in which Linkerd is."""
    [patch] = printed(capsys, "--linkerd", "--control-plane-namespace=mesh", "--image=trellis:1")

    assert patch["metadata"] == {"name": "linkerd-destination", "namespace": "mesh"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--linkerd", "--replicas=2"], "--replicas and --linkerd"),
        (["--linkerd", "--", "--log-level=debug"], "arguments and --linkerd"),
        (["--no-crds", "--gateway-api"], "--gateway-api and --no-crds"),
        (["--no-webhook", "--webhook-tls=x"], "--webhook-tls and --no-webhook"),
        (["--no-webhook", "--webhook-failure-policy=Fail"], "--webhook-failure-policy and --no-webhook"),
        (["--webhook-ca=x"], "need --webhook-secret"),
        (["--webhook-secret=a"], "--webhook-secret needs"),
        (["--webhook-secret=a", "--webhook-ca=x", "--webhook-inject-ca-from=a/b"], "--webhook-secret needs"),
        (["--webhook-secret=a", "--webhook-tls=x", "--webhook-ca=x"], "--webhook-tls and --webhook-secret"),
        (["--webhook-secret=a", "--webhook-ca=/nowhere"], "reading /nowhere: No such file"),
        (["--webhook-tls=/nowhere"], "reading /nowhere/tls.crt: No such file"),
        (["--webhook-inject-ca-from=a"], "'a' is not NAMESPACE/NAME"),
        (["--webhook-failure-policy=Maybe"], "Maybe"),
        (["--namespace=Mesh"], "'Mesh' is not the name of a namespace"),
        (["--replicas=0"], "'0' is not a whole number above 0"),
        (["--memory=lots"], "'lots' is not an amount of memory"),
        (["--image=a b"], "'a b' is not the name of an image"),
        (["--", "--log-levl=debug"], "--log-levl"),
        (["--", "--cluster-networks=10.0.0.0"], "--cluster-networks"),
        (["--", "--admin-addr=0.0.0.0:8090"], "--admin-addr and --grpc-addr are both 0.0.0.0:8090"),
        (["stray"], "stray"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is printed, with one line and the code for a wrong command line."""
    assert main(["manifests", *arguments]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert complaint in said.err.splitlines()[-1]


def test_a_certificate_is_for_the_webhook(tmp_path: Path) -> None:
    """Whoever trusts the authority trusts the webhook by the name of its Service, and for as long as was asked for."""
    folder = tmp_path / "tls"

    assert main(["certificate", str(folder), "--namespace=mesh", "--days=30"]) == 0

    leaf, authority = (x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in ("tls.crt", "ca.crt"))
    builder = PolicyBuilder().store(Store([authority]))
    for name, good in (("trellis-webhook.mesh.svc", True), ("trellis-webhook.other.svc", False)):
        verifier = builder.build_server_verifier(x509.DNSName(name))
        if good:
            verifier.verify(leaf, [])
        else:
            with pytest.raises(x509.verification.VerificationError):
                verifier.verify(leaf, [])
    left = leaf.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=29, hours=23) < left <= dt.timedelta(days=30)
    assert stat.S_IMODE((folder / "tls.key").stat().st_mode) == 0o600


def test_a_certificate_in_use_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster may depend on what is there."""
    main(["certificate", str(tmp_path)])
    before = (tmp_path / "tls.crt").read_bytes()

    assert main(["certificate", str(tmp_path)]) == 2

    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "tls.crt").read_bytes() == before


def test_a_certificate_without_an_authority_is_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one that Linkerd's chart makes."""
    main(["certificate", str(tmp_path)])
    (tmp_path / "ca.crt").unlink()

    documents = printed(capsys, "--no-crds", f"--webhook-tls={tmp_path}")

    [webhook] = find(documents, "ValidatingWebhookConfiguration")["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == find(documents, "Secret")["data"]["tls.crt"]


def test_certificates_do_not_last_for_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of days with a digit too many is a slip."""
    assert main(["certificate", str(tmp_path / "tls"), "--days=36500"]) == 2

    assert "more than ten years" in capsys.readouterr().err
    assert not (tmp_path / "tls").exists()
