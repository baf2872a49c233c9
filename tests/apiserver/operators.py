"""Operators against the real API server: their account, their processes, and a wire that can freeze."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from builders.api_server import ApiServer
from builders.resource_documents import PNEUMONIA, document, model_spec, site_spec

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "manifests" / "base"
GROUP = "/apis/anamnesis.dev/v1alpha1"
FAST = {"duration": 3.0, "deadline": 2.0, "retry": 0.3}


def create_operator_account(cluster: ApiServer, namespace: str, server: str = "") -> Path:
    """The kubeconfig of the operator's own account, with exactly its shipped roles; ``server`` names a proxy."""
    documents = []
    for name in ("account.yaml", "role.yaml", "admission-reader.yaml"):
        documents += list(yaml.safe_load_all((BASE / name).read_text()))
    for manifest in documents:
        if manifest["kind"].startswith("Cluster"):
            manifest["metadata"]["name"] += f"-{namespace}"
            if "roleRef" in manifest:
                manifest["roleRef"]["name"] += f"-{namespace}"
        else:
            manifest["metadata"]["namespace"] = namespace
        for subject in manifest.get("subjects", ()):
            subject["namespace"] = namespace
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
    direct = cluster.service_account(namespace, "anamnesis-operator")
    if not server:
        return direct
    proxied = direct.with_suffix(".proxied")
    proxied.write_text(direct.read_text().replace(cluster.url, server))
    return proxied


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class StubOperator:
    """One operator process with a toy reconcile."""

    kubeconfig: Path
    namespace: str
    log: Path
    identity: str = "one"
    settings: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def start(self) -> "StubOperator":
        settings = {
            "identity": self.identity,
            "lease_namespace": self.namespace,
            "namespaces": [self.namespace],
            "port": self.port,
            "lease": FAST,
            **self.settings,
        }
        command = [sys.executable, "-m", "fakes.stub_operator", str(self.kubeconfig), json.dumps(settings)]
        with self.log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 where nobody answers yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/readyz")[0] == 200

    def observed_metrics(self) -> dict[str, Any]:
        return json.loads(self.get("/metrics")[1] or "{}")

    def is_leader(self) -> bool:
        return bool(self.is_ready() and self.observed_metrics().get("leads"))

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def site(name: str, **metadata: Any) -> dict[str, Any]:
    source = {"type": "Folder", "folder": {"path": "/data/canary-in-the-spec"}}
    return document("Site", name, site_spec(source, "s3://images/ward", PNEUMONIA, "DX"), metadata)


def model(name: str, *sites: str, **metadata: Any) -> dict[str, Any]:
    return document("ContinualModel", name, model_spec(sites), metadata)


def create_resource(cluster: ApiServer, namespace: str, resource: dict[str, Any]) -> dict[str, Any]:
    plural = f"{resource['kind'].lower()}s"
    created: dict[str, Any] = cluster.request("POST", f"{GROUP}/namespaces/{namespace}/{plural}", resource)
    return created


def read_resource(cluster: ApiServer, namespace: str, resource: dict[str, Any]) -> dict[str, Any]:
    plural, name = f"{resource['kind'].lower()}s", resource["metadata"]["name"]
    current: dict[str, Any] = cluster.request("GET", f"{GROUP}/namespaces/{namespace}/{plural}/{name}")
    return current


def last_reconciled_by(cluster: ApiServer, namespace: str, resource: dict[str, Any]) -> str:
    """Which operator wrote the status for the generation that is; empty: none yet."""
    current = read_resource(cluster, namespace, resource)
    status = current.get("status", {})
    if status.get("observedGeneration") != current["metadata"]["generation"]:
        return ""
    return str(status["conditions"][0]["message"]).removeprefix("by ")


class FreezableProxy:
    """A TCP proxy to the API server. ``freeze`` silences the connections that are open; new ones work."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("https://").partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._frozen = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Silences what is open now."""
        self._frozen.set()
        self._frozen = threading.Event()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, sink, self._frozen), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, frozen: threading.Event) -> None:
    """Passes bytes on; once frozen it swallows them, and the end too."""
    try:
        while data := source.recv(65536):
            if not frozen.is_set():
                sink.sendall(data)
    except OSError:
        pass
    if not frozen.is_set():
        for end in (source, sink):
            end.close()
