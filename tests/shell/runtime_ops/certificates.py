"""Keys and certificates for tests, made on the spot."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # one for all tests: making one takes a while


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption)


def certificate(key: Key, name: str = "one", *, days: int = 30) -> bytes:
    """A self-signed certificate for 127.0.0.1, told apart by its common name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


@attrs.frozen
class Folder:
    """A folder as kubelet makes it for a Secret: the files are links through a link that is swapped."""

    path: Path

    @property
    def key(self) -> Path:
        return self.path / "tls.key"

    @property
    def certs(self) -> Path:
        return self.path / "tls.crt"

    def put(self, key: bytes, certs: bytes) -> None:
        """Replace both files in one step."""
        version = self.path / f"..{len(list(self.path.iterdir()))}"
        version.mkdir()
        (version / "tls.key").write_bytes(key)
        (version / "tls.crt").write_bytes(certs)
        (self.path / "..new").symlink_to(version.name)
        (self.path / "..new").rename(self.path / "..data")
        for path in (self.key, self.certs):
            if not path.is_symlink():
                path.symlink_to(Path("..data") / path.name)
