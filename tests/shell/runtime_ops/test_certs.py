"""Which keys and certificates are taken, and what is said about those that are not."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import PrivateFormat

from controller.runtime.certs import CertificateError, CertificateFiles, Certificates

from .certificates import RSA, Folder, certificate, ec_key, pem


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.put(pem(RSA), certificate(RSA))
    return folder


def files(folder: Folder) -> CertificateFiles:
    return CertificateFiles(folder.key, folder.certs)


EC = ec_key()
ED = ed25519.Ed25519PrivateKey.generate()


# runtime S2
@pytest.mark.parametrize(
    ("key", "certs"),
    [
        (pem(RSA), certificate(RSA)),
        (pem(RSA, PrivateFormat.TraditionalOpenSSL), certificate(RSA)),
        (pem(EC), certificate(EC)),
        (pem(EC, PrivateFormat.TraditionalOpenSSL), certificate(EC)),
        (pem(ED), certificate(ED)),
        (pem(RSA), certificate(RSA) + certificate(EC, "issuer")),
        (b"prose\n" + pem(RSA).replace(b"\n", b"\r\n") + b"more", b"prose\n" + certificate(RSA)),
        # The first form that occurs counts.
        (pem(EC, PrivateFormat.TraditionalOpenSSL) + pem(RSA), certificate(RSA)),
        # openssl puts this in front of a key on a named curve.
        (b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem(EC), certificate(EC)),
    ],
    ids=["pkcs8", "pkcs1", "pkcs8-ec", "sec1", "ed25519", "chain", "prose", "forms", "parameters"],
)
def test_what_is_taken(folder: Folder, key: bytes, certs: bytes) -> None:
    """Each usual form of a key, with a certificate or a chain."""
    folder.put(key, certs)

    pair = files(folder).load()

    assert pair.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert pair.not_after > dt.datetime.now(dt.UTC)


# runtime S1
@pytest.mark.parametrize(
    ("key", "certs", "complaint"),
    [
        (b"", certificate(RSA), "tls.key holds none"),
        (b"garbage", certificate(RSA), "tls.key holds none"),
        (pem(RSA) + pem(EC), certificate(RSA), "tls.key holds 2 of them"),
        (pem(RSA, password=b"x"), certificate(RSA), "tls.key holds none, only an encrypted one"),
        (pem(RSA), b"", "tls.crt holds none"),
        (pem(RSA), pem(RSA), "tls.crt holds none"),
        (pem(EC), certificate(RSA), "tls.key is not that of the certificate in"),
        (pem(ec_key()), certificate(EC), "tls.key is not that of the certificate in"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            certificate(RSA),
            "tls.key cannot be decoded",
        ),
        (pem(RSA), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "tls.crt: error parsing"),
    ],
)
def test_what_is_not_taken(folder: Folder, key: bytes, certs: bytes, complaint: str) -> None:
    """Each fault has its own words, with the file that has it; the key itself is never among them."""
    folder.put(key, certs)

    with pytest.raises(CertificateError) as caught:
        files(folder).load()

    assert complaint in str(caught.value)
    assert "BEGIN" not in str(caught.value)


# runtime S1
@pytest.mark.parametrize("name", ["key", "certs"])
def test_what_cannot_be_read(folder: Folder, name: str) -> None:
    """A missing file is named."""
    path: Path = getattr(folder, name)
    path.unlink()

    with pytest.raises(CertificateError, match=f"{path.name}: No such file or directory"):
        files(folder).load()


async def test_nothing_is_read_again_while_nothing_changes(folder: Folder) -> None:
    """Connections share the context for as long as the files stay what they are."""
    reloads = list[bool]()
    certificates = await Certificates.load(files(folder), on_reload=reloads.append)

    assert await certificates.context() is await certificates.context()
    assert reloads == []


# runtime S3
async def test_a_change_is_used_by_the_next_connection(folder: Folder) -> None:
    """A new pair at once; a bad one not, and not tried again; the repaired one again."""
    reloads = list[bool]()
    certificates = await Certificates.load(files(folder), on_reload=reloads.append)
    first = await certificates.context()

    folder.put(pem(EC), certificate(EC, days=5))
    second = await certificates.context()
    folder.put(pem(RSA), b"half a certif")
    third = [await certificates.context() for _ in range(3)]
    soon = certificates.not_after
    folder.put(pem(RSA), certificate(RSA))
    fourth = await certificates.context()

    assert second is not first
    assert third == [second] * 3
    assert fourth is not second
    assert reloads == [True, False, True]
    assert soon - dt.datetime.now(dt.UTC) < dt.timedelta(days=5) < certificates.not_after - dt.datetime.now(dt.UTC)


async def test_a_file_that_vanishes_and_returns(folder: Folder) -> None:
    """While it is gone the last pair serves."""
    certificates = await Certificates.load(files(folder))
    first = await certificates.context()

    folder.key.rename(folder.path / "away")
    assert await certificates.context() is first
    (folder.path / "away").rename(folder.key)

    assert (await certificates.context()).cert_store_stats() == first.cert_store_stats()
