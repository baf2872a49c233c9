"""A real Orthanc on loopback, with its own REST interface and DICOMweb; a test can stop and restart it."""

import json
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import requests

PLUGINS = Path("/usr/share/orthanc/plugins")
USER = "hospital"


class OrthancServer:
    """One temporary server with a user and a password.

    Args:
        program: path of ``Orthanc``.
        plugins: folder of the plugins; the default is that of Debian.
        options: further settings, for example ``LimitFindResults``.
    """

    def __init__(self, program: str, plugins: Path = PLUGINS, options: Mapping[str, object] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-"))
        self.program, self._plugins, self._options = program, plugins, options or {}
        self._password = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = int(listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self.web = f"{self.url}/dicom-web"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables with the credentials of this server."""
        return {"DICOM_USERNAME": USER, "DICOM_PASSWORD": self._password}

    @property
    def running(self) -> bool:
        """Whether the server is running."""
        return self._process is not None

    def start(self) -> None:
        """Starts the server and returns when it is ready; after ``stop`` with the same port and data."""
        settings = self.folder / "orthanc.json"
        settings.write_text(json.dumps(self._settings()))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.program, str(settings)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._is_answering():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Orthanc did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops the server; its data stays."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stops the server and deletes its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, *files: Path) -> None:
        """Sends files with Orthanc's own REST interface."""
        for file in files:
            self.request("POST", f"{self.url}/instances", data=file.read_bytes())

    def store(self, *files: Path) -> None:
        """Sends files with DICOMweb (STOW-RS), in one request."""
        parts = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % f.read_bytes() for f in files)
        kind = 'multipart/related; type="application/dicom"; boundary=x'
        self.request("POST", f"{self.web}/studies", data=parts + b"--x--", headers={"Content-Type": kind})

    def instances(self) -> list[str]:
        """Returns Orthanc's identifier of every instance."""
        names = self.request("GET", f"{self.url}/instances").json()
        assert isinstance(names, list)
        return sorted(names)

    def delete(self, instance: str) -> None:
        """Deletes the instance with this Orthanc identifier."""
        self.request("DELETE", f"{self.url}/instances/{instance}")

    def clear(self) -> None:
        """Deletes everything."""
        for patient in self.request("GET", f"{self.url}/patients").json():
            self.request("DELETE", f"{self.url}/patients/{patient}")

    def request(
        self, method: str, url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Sends one request on a new connection, because the server closes idle ones."""
        answer = requests.request(method, url, data=data, headers=headers, auth=(USER, self._password), timeout=30)
        answer.raise_for_status()
        return answer

    def _settings(self) -> Mapping[str, object]:
        return {
            "HttpPort": self._port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: self._password},
            "DicomServerEnabled": False,
            "OverwriteInstances": True,
            "StorageDirectory": str(self.folder / "data"),
            "Plugins": [str(self._plugins / "libOrthancDicomWeb.so")],
            **self._options,
        }

    def _is_answering(self) -> bool:
        try:
            return self.request("GET", f"{self.web}/studies").ok
        except requests.ConnectionError:
            return False
