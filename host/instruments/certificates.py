"""Certificates for the link between host and instrument, made on first use.

One authority signs one certificate for the server and one for the client, each good for its own side only,
and its key is thrown away at once: nobody, not even this user, can make a third. Files are the user's alone
(0600).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import platformdirs

from dwell.errors import ResourceError, ToolNotFoundError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

_VALID = datetime.timedelta(days=3 * 365)
_RENEW_BEFORE = datetime.timedelta(days=30)
_SKEW = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """PEM files in one folder."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate, which both sides trust and nothing else."""
        return self.folder / "authority.pem"

    @property
    def server(self) -> tuple[Path, Path]:
        """Certificate and key of the instrument's side."""
        return self.folder / "server.pem", self.folder / "server.key"

    @property
    def client(self) -> tuple[Path, Path]:
        """Certificate and key of the host's side."""
        return self.folder / "client.pem", self.folder / "client.key"

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.authority, *self.server, *self.client)


def default_folder() -> Path:
    """Where certificates are kept if nothing else is said: the user's state folder."""
    return Path(platformdirs.user_state_dir("dwell")) / "tls"


def ensure_certificates(folder: Path | None = None) -> Certificates:
    """The certificates in `folder`, made or renewed if they are missing, damaged or about to expire.

    Raises `ResourceError` if the folder cannot be written, `ToolNotFoundError` without the `cryptography`
    package.
    """
    found = Certificates(Path(folder) if folder is not None else default_folder())
    try:
        found.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(found.folder.with_name(found.folder.name + ".lock")):
            if not _good(found):
                _make(found)
    except OSError as error:
        raise ResourceError(
            f"certificates cannot be kept in {found.folder}: {error.strerror or error}",
            hint="give a folder that you may write",
            place=str(found.folder),
        ) from error
    return found


def _good(found: Certificates) -> bool:
    """Whether all files are there, private, whole and good for a while."""
    x509 = _library()["x509"]
    try:
        if any(path.stat().st_mode & 0o077 for path in found.files):
            return False
        soonest = min(
            x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
            for path in (found.authority, found.server[0], found.client[0])
        )
    except (OSError, ValueError):
        return False
    return bool(soonest > datetime.datetime.now(datetime.UTC) + _RENEW_BEFORE)


def _library() -> dict[str, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ToolNotFoundError(
            "the link to an instrument needs the package 'cryptography'", hint="run `dwell env sync build`"
        ) from error
    return {"x509": x509, "hashes": hashes, "serialization": serialization, "ec": ec}


def _make(found: Certificates) -> None:
    lib = _library()
    authority_key = lib["ec"].generate_private_key(lib["ec"].SECP256R1())
    authority = _certificate(lib, "authority", authority_key, None, None)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=found.folder.parent))
    try:
        _write(temporary / found.authority.name, _pem(lib, authority))
        for side, (certificate, key_file) in (("server", found.server), ("client", found.client)):
            key = lib["ec"].generate_private_key(lib["ec"].SECP256R1())
            _write(
                temporary / certificate.name,
                _pem(lib, _certificate(lib, side, key, authority, authority_key)),
            )
            _write(temporary / key_file.name, _key_pem(lib, key))
        shutil.rmtree(found.folder)
        temporary.rename(found.folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _certificate(
    lib: dict[str, Any],
    side: str,
    key: EllipticCurvePrivateKey,
    authority: Certificate | None,
    authority_key: EllipticCurvePrivateKey | None,
) -> Certificate:
    x509, now = lib["x509"], datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"dwell instrument link {side}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject if authority is not None else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(x509, authority is None), critical=True)
    )
    if authority is not None:
        purpose = x509.ExtendedKeyUsageOID
        chosen = purpose.SERVER_AUTH if side == "server" else purpose.CLIENT_AUTH
        issuer = authority.public_key()
        builder = builder.add_extension(x509.ExtendedKeyUsage([chosen]), critical=True).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer),
            critical=False,
        )
        if side == "server":
            here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(here), critical=False)
    signed: Certificate = builder.sign(authority_key or key, lib["hashes"].SHA256())
    return signed


def _key_usage(x509: Any, authority: bool) -> Any:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(lib: dict[str, Any], certificate: Certificate) -> bytes:
    return certificate.public_bytes(lib["serialization"].Encoding.PEM)


def _key_pem(lib: dict[str, Any], key: EllipticCurvePrivateKey) -> bytes:
    s = lib["serialization"]
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
