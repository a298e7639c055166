"""The certificate that the server shows, and its key."""

import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

KeyProblem = tuple[str, str]


@frozen
class Certificate:
    """
    What the files held when the configuration was read, in PEM: whoever follows a
    worker shows what its siblings show, whatever has become of the files since.
    """

    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)

    def __bool__(self) -> bool:
        return bool(self.certificate)

    def context(self) -> ssl.SSLContext:
        """Return what to serve with; raises ssl.SSLError if the two don't fit."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.set_alpn_protocols(["http/1.1"])
        self.put_into(made)
        return made

    def put_into(self, context: ssl.SSLContext) -> None:
        """Have *context* show this from its next connection on; raises ssl.SSLError."""
        # OpenSSL takes files only; one without a password asks for none at a terminal.
        with _file(self.certificate) as certificate, _file(self.key) as key:
            context.load_cert_chain(certificate, key, password="")


def read_certificate(
    certificate: str, key: str
) -> tuple[Certificate, list[KeyProblem]]:
    """Return what is in the two files, and what is wrong with them, key by key."""
    if not certificate and not key:
        return Certificate(), []
    paths = {"tls_certificate": certificate, "tls_key": key}
    read, problems = [], []
    for name, path in paths.items():
        content, problem = _read(path)
        read.append(content)
        if problem:
            problems.append((name, problem))
    found = Certificate(*read)
    if not problems:
        problems = list(_misfits(found))
    return found, problems


def _read(path: str) -> tuple[bytes, str]:
    if not path:
        return b"", "is missing: TLS needs a certificate and its key"
    try:
        return Path(path).expanduser().read_bytes(), ""
    except OSError as exc:
        return b"", f"{path} can't be read: {exc.strerror}"
    except (RuntimeError, ValueError) as exc:
        return b"", f"{path!r} can't be read: {exc}"


def _misfits(found: Certificate) -> Iterator[KeyProblem]:
    if b"-----BEGIN CERTIFICATE-----" not in found.certificate:
        yield "tls_certificate", "has no certificate in PEM"
    elif b"PRIVATE KEY-----" not in found.key:
        yield "tls_key", "has no private key in PEM"
    elif b"ENCRYPTED" in found.key:
        yield "tls_key", "must be a key without a passphrase"
    else:
        try:
            found.context()
        except ssl.SSLError as exc:
            if exc.reason == "KEY_VALUES_MISMATCH":
                yield "tls_key", "is not the key of the certificate"
            else:
                yield "tls_certificate", f"can't be used with its key: {exc.reason}"


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Yield the name of a file with *content*: in memory, where the system can."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("tls")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
