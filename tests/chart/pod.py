"""The operator's pod without a node: a local process with exactly the settings of the Deployment on the API server."""

import os
import sys
from pathlib import Path

from apiserver.hospital_namespace import OperatorProcess
from apiserver.operators import free_port
from builders.api_server import ApiServer
from chart.conftest import Json

INHERITED = ("PATH", "HOME", "LANG")


class Pod:
    """The process of a release's Deployment, with its environment, arguments, mounted files and account.

    Args:
        cluster: where the release is.
        space: its namespace.
        folder: in place of the pod's mounts.
    """

    def __init__(self, cluster: ApiServer, namespace: str, folder: Path) -> None:
        self._cluster, self._namespace, self._folder = cluster, namespace, folder
        self.spec: Json = self._get("apis/apps/v1", "deployments", "anamnesis-operator")["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self._places = {mount["mountPath"]: folder / mount["name"] for mount in self.container["volumeMounts"]}
        for mount in self.container["volumeMounts"]:
            self._fill(mount["name"])

    def start(self) -> OperatorProcess:
        """Starts the process; only ports, folders and the address of the API server are those of this machine."""
        port = free_port()
        local_options = {"--address": "127.0.0.1", "--port": port, "--leader-metrics-port": free_port(), "--grace": 1}
        arguments = [
            self._localise(argument)
            for argument in self.container["args"]
            if argument.partition("=")[0] not in local_options
        ]
        command = [sys.executable, "-m", "anamnesis.cli", *arguments, f"--state={self._folder}"]
        command += [f"{name}={value}" for name, value in local_options.items()]
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {
            variable["name"]: self._localise(variable["value"])
            for variable in self.container["env"]
            if "value" in variable
        }
        environment["KUBECONFIG"] = str(self._cluster.service_account(self._namespace, self.spec["serviceAccountName"]))
        return OperatorProcess("one", command, environment=environment, port=port, log=self._folder / "operator.log")

    def _localise(self, text: str) -> str:
        text = text.replace("$(POD_NAMESPACE)", self._namespace).replace("$(POD_NAME)", "one")
        for mount_path, folder in self._places.items():
            text = text.replace(f"{mount_path}/", f"{folder}/")
        return text

    def _fill(self, name: str) -> None:
        """Writes the files of a volume."""
        (volume,) = [entry for entry in self.spec["volumes"] if entry["name"] == name]
        folder = self._folder / name
        folder.mkdir(parents=True)
        files: dict[str, str] = {}
        if "configMap" in volume:
            files = self._get("api/v1", "configmaps", volume["configMap"]["name"])["data"]
        for source in volume.get("projected", {}).get("sources", ()):
            token_source = source["serviceAccountToken"]
            path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{self.spec['serviceAccountName']}/token"
            answer = self._cluster.request("POST", path, {"spec": {"audiences": [token_source["audience"]]}})
            files[token_source["path"]] = answer["status"]["token"]
        for file, text in files.items():
            (folder / file).write_text(text)

    def _get(self, group: str, plural: str, name: str) -> Json:
        resource: Json = self._cluster.request("GET", f"/{group}/namespaces/{self._namespace}/{plural}/{name}")
        return resource
