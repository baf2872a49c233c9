"""A private certificate authority, as hospitals have one, and certificates that it signs."""

import subprocess
from pathlib import Path


class Authority:
    """A private certificate authority; clients trust its ``certificate``.

    Args:
        folder: folder for keys and certificates.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, folder / "ca.key"
        self.certificate = folder / "ca.crt"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=Hospital authority"]
        _openssl(*new, "-keyout", self._key, "-out", self.certificate)

    def sign(self, folder: Path, *names: str) -> Path:
        """Writes ``public.crt`` and ``private.key`` for a server with these names into a new folder; returns it."""
        folder.mkdir(parents=True)
        request, extensions = folder / "request", folder / "extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", folder / "private.key",
                 "-out", request)  # fmt: skip
        _openssl("x509", "-req", "-days", "1", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                 "-CAcreateserial", "-extfile", extensions, "-out", folder / "public.crt")  # fmt: skip
        request.unlink()
        extensions.unlink()
        return folder


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
