"""A real Kubernetes API server on loopback: etcd and kube-apiserver, as envtest starts them."""

import csv
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ADMIN = "admin"


class ApiServer:
    """One temporary API server with RBAC, CRDs, CEL and server-side apply, without controllers and nodes.

    Args:
        binaries: folder with ``etcd`` and ``kube-apiserver``; ``kubectl`` is needed for the method ``kubectl``.
        users: more users without rights, each with its groups.
    """

    def __init__(self, binaries: Path, users: Mapping[str, Sequence[str]] | None = None) -> None:
        self.binaries = binaries
        self.users = {ADMIN: ["system:masters"], **(users or {})}
        self.tokens = {user: secrets.token_hex(16) for user in self.users}
        self.folder = Path(tempfile.mkdtemp(prefix="apiserver-"))
        self._ports = _free_ports(3)
        self.url = f"https://127.0.0.1:{self._ports[2]}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts etcd and the API server, and returns when the API server is ready."""
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        with (self.folder / "tokens.csv").open("w", newline="") as file:
            csv.writer(file).writerows([self.tokens[u], u, u, ",".join(groups)] for u, groups in self.users.items())
        self._start_etcd()
        self.start_server()

    def stop(self) -> None:
        """Stops both processes and deletes all data."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, name: str = "kube-apiserver") -> None:
        """Kills one of the two processes, to simulate an outage."""
        process = self._processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def start_server(self) -> None:
        """Starts kube-apiserver; after ``kill`` with the same port, data and tokens."""
        key = self.folder / "sa.key"
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._ports[0]}",
            f"--cert-dir={self.folder}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._ports[2]}",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        )
        self._wait("/readyz")
        self._wait("/api/v1/namespaces/default")

    def request(self, method: str, path: str, body: object = None, user: str = ADMIN) -> Any:
        """Sends one REST request; returns the decoded JSON, or the text of another response.

        Raises:
            urllib.error.HTTPError: the server refuses the request; the body has the reason.
        """
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, data, user, timeout=10) as answer:
            text = answer.read().decode()
            return json.loads(text) if answer.headers.get_content_type() == "application/json" else text

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Yields the events of a watch until the server ends it; ``path`` has the query ``watch=1``."""
        with self._open("GET", path, None, ADMIN, timeout=None) as answer:
            yield from map(json.loads, answer)

    def _open(self, method: str, path: str, data: bytes | None, user: str, timeout: float | None) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[user]}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        trust = ssl.create_default_context(cadata=self._authority())
        return urllib.request.urlopen(request, timeout=timeout, context=trust)

    def kubeconfig(self, user: str = ADMIN, token: str = "", server: str = "") -> Path:
        """Writes the kubeconfig of a user, or of the owner of ``token``; ``server`` is the URL of a proxy."""
        authority = b64encode(self._authority().encode()).decode()
        name = user.replace(":", "_")
        cluster = {"server": server or self.url, "certificate-authority-data": authority}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "t", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token or self.tokens[user]}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": user}}],
            "current-context": "t",
        }
        path = self.folder / f"{name}{'-proxied' if server else ''}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(content))
        return path

    def service_account(self, namespace: str, name: str) -> Path:
        """Writes the kubeconfig of an existing ServiceAccount, with the rights that its pods have."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token = self.request("POST", path, {"spec": {}})["status"]["token"]
        return self.kubeconfig(f"system:serviceaccount:{namespace}:{name}", token)

    def kubectl(self, *arguments: str, stdin: str = "", user: str = ADMIN, check: bool = True) -> str:
        """Runs kubectl; returns its output, including errors."""
        command = [str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfig(user)}", *arguments]
        result = subprocess.run(
            command, input=stdin or None, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if check and result.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {result.stdout}")
        return result.stdout

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[:2])
        self._spawn(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def start_controllers(self, *controllers: str) -> None:
        """Starts controllers of Kubernetes, for example ``namespace-controller``, until ``stop``."""
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig()}",
            f"--controllers={','.join(controllers)}",
            f"--cert-dir={self.folder}",
            f"--secure-port={_free_ports(1)[0]}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        )

    def _spawn(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [str(self.binaries / name), *arguments]
            self._processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "2"}
            )

    def _authority(self) -> str:
        begin = "-----BEGIN CERTIFICATE-----"
        return begin + (self.folder / "apiserver.crt").read_text().rpartition(begin)[2]

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("GET", path)
                return
            except OSError as error:  # includes the errors of urllib and ssl
                dead = [name for name, process in self._processes.items() if process.poll() is not None]
                if dead or time.monotonic() > deadline:
                    log = self.folder / f"{(dead or ['kube-apiserver'])[0]}.log"
                    raise RuntimeError(f"no API server ({error}): {log.read_text()[-2000:]}") from error
                time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
