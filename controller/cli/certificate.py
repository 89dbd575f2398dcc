"""`trellis certificate`: makes a certificate for the webhook, and who signed it.

The authority signs this one certificate and its key is then forgotten, so that whoever trusts it trusts nobody else.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.analysis.manifests.installation import WEBHOOK_SERVICE, OwnCertificate
from controller.cli.flag import Usage

CERTIFICATE, KEY, CA = "tls.crt", "tls.key", "ca.crt"  # as in Secrets, and as cert-manager has them

_SLACK = dt.timedelta(hours=1)  # clocks differ


def make_certificate(namespace: str, *, days: int) -> OwnCertificate:
    """A new certificate for the webhook's Service in the namespace, good for so many days from now."""
    begin = dt.datetime.now(dt.UTC) - _SLACK
    end = begin + _SLACK + dt.timedelta(days=days)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _name(f"{WEBHOOK_SERVICE} authority")
    host = f"{WEBHOOK_SERVICE}.{namespace}.svc"
    ca = (
        _builder(authority, authority, authority_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _builder(_name(host), authority, key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return OwnCertificate(
        certificate=leaf.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ca=ca.public_bytes(Encoding.PEM),
    )


def write_certificate(made: OwnCertificate, folder: Path) -> None:
    """Write it to a new or empty folder; what is there stays, for a cluster may be using it. Raises `Usage`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CERTIFICATE, KEY, CA):
        if (folder / name).exists():
            raise Usage(f"{folder / name} exists; remove it, or choose another folder")
    for name, content, mode in ((CERTIFICATE, made.certificate, 0o644), (CA, made.ca, 0o644), (KEY, made.key, 0o600)):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def read_certificate(folder: Path) -> OwnCertificate:
    """Read what `write_certificate` wrote, or others under the same names. Raises `Usage`.

    Without a `ca.crt` the certificate is its own authority, as that of Linkerd's chart is.
    """
    certificate = _read(folder / CERTIFICATE)
    return OwnCertificate(
        certificate=certificate,
        key=_read(folder / KEY),
        ca=_read(folder / CA) if (folder / CA).exists() else certificate,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(f"reading {path}: {error.strerror}") from error


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )
