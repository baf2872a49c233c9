"""A real S3 server on loopback, with the bucket ``models``; a test can stop and restart it."""

import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from builders.waiting import eventually

if TYPE_CHECKING:
    from minio import Minio

USER, PASSWORD = "tester", "test-password"


class S3Server:
    """A server that runs while its context is open.

    Args:
        binary: path of minio.
        folder: folder for data and output.
        certificate: folder with ``public.crt`` and ``private.key``; none runs the server without TLS.
        authority: file with the certificate of the authority that signed it.
        region: in which the server's buckets are.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        certificate: Path | None = None,
        authority: Path | None = None,
        region: str = "us-east-1",
    ) -> None:
        self.region = region
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.url, self._authority = f"http{'s' if certificate else ''}://{self.address}", authority
        self._output = folder / "output"
        self._command = [binary, "server", str(folder / "data"), "--address", self.address]
        if certificate:
            self._command += ["--certs-dir", str(certificate)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "S3Server":
        self.start()
        self.client().make_bucket("models")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables with address and credentials of this server."""
        keys = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}
        return {**keys, "AWS_ENDPOINT_URL": self.url}

    def client(self) -> "Minio":
        """Returns a client of this server."""
        import urllib3
        from minio import Minio

        http = urllib3.PoolManager(ca_certs=str(self._authority) if self._authority else None)
        secure = self.url.startswith("https")
        return Minio(self.address, USER, PASSWORD, secure=secure, region=self.region, http_client=http)

    def start(self) -> None:
        """Starts the server and returns when it is ready; after ``stop`` with the same port and data."""
        settings = {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_SITE_REGION": self.region}
        with self._output.open("a") as output:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, **settings}, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            eventually(self._is_healthy)
        except AssertionError:
            self.stop()
            raise RuntimeError(f"the S3 server did not start: {self._output.read_text()}") from None

    def stop(self) -> None:
        """Stops the server; its data stays."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_healthy(self) -> bool:
        import urllib3

        assert self._process is not None
        assert self._process.poll() is None, "the server has stopped"
        http = urllib3.PoolManager(ca_certs=str(self._authority) if self._authority else None)
        try:
            return http.request("GET", f"{self.url}/minio/health/live", retries=False, timeout=1).status == 200
        except urllib3.exceptions.HTTPError:
            return False
