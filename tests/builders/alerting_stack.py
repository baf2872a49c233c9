"""A real Prometheus and a real Alertmanager on loopback, and a webhook that keeps all notices."""

import json
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from builders.waiting import eventually

Json = dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """One notice of an alert.

    Attributes:
        status: firing or resolved.
        labels: of the alert.
        annotations: of the alert.
    """

    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Webhook:
    """The receiver of alerts: all notices are in ``notices``, oldest first."""

    def __init__(self) -> None:
        notices: list[Notice] = []

        class WebhookHandler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                notices.extend(
                    Notice(alert["status"], alert["labels"], alert["annotations"]) for alert in body["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self.notices = notices
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), WebhookHandler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class AlertingStack:
    """Prometheus scrapes ``targets`` every second; Alertmanager sends its alerts to ``webhook``.

    Args:
        folder: for configuration and data.
        prometheus: path of the program.
        alertmanager: path of the program.
        rules: a rule file.
        targets: ``host:port`` of each target.
        job: name of the scrape job.
        external: labels that Prometheus adds to all alerts.
    """

    def __init__(
        self,
        folder: Path,
        prometheus: str,
        alertmanager: str,
        rules: Json,
        targets: tuple[str, ...],
        job: str = "anamnesis",
        external: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.webhook = Webhook()
        self._folder, self._ports = folder, (_free_port(), _free_port())
        self._processes: list[subprocess.Popen[bytes]] = []
        self._write("rules", rules)
        self._write("prometheus", self._prometheus(targets, job, external))
        self._write("alertmanager", self._alertmanager())
        self._start(
            alertmanager,
            "alertmanager",
            self._ports[1],
            f"--storage.path={folder / 'am'}",
            "--cluster.listen-address=",
        )
        self._start(prometheus, "prometheus", self._ports[0], f"--storage.tsdb.path={folder / 'tsdb'}")

    @property
    def alertmanager_url(self) -> str:
        """URL of Alertmanager."""
        return f"http://127.0.0.1:{self._ports[1]}"

    def query(self, expr: str) -> list[Json]:
        """Returns the result of an instant query.

        Raises:
            AssertionError: Prometheus refuses the query.
        """
        query_string = urllib.parse.urlencode({"query": expr})
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._ports[0]}/api/v1/query?{query_string}", timeout=10
            ) as answer:
                samples: list[Json] = json.load(answer)["data"]["result"]
                return samples
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from None

    def wait_for_notice(self, alert: str, status: str, seconds: float = 60) -> Notice:
        """Returns the notice after its arrival."""
        matches: list[Notice] = []

        def has_arrived() -> bool:
            matches[:] = [
                notice
                for notice in self.webhook.notices
                if (notice.labels["alertname"], notice.status) == (alert, status)
            ]
            return bool(matches)

        try:
            eventually(has_arrived, seconds)
        except AssertionError:
            received = [(notice.labels["alertname"], notice.status) for notice in self.webhook.notices]
            raise AssertionError(f"{alert} {status}: {received}\n{self._logs()}") from None
        return matches[-1]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.webhook.close()

    def _prometheus(self, targets: tuple[str, ...], job: str, external: Mapping[str, str]) -> Json:
        manager = {"static_configs": [{"targets": [f"127.0.0.1:{self._ports[1]}"]}]}
        scraped = {"job_name": job, "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "external_labels": dict(external)},
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": [manager]},
            "scrape_configs": [scraped],
        }

    def _alertmanager(self) -> Json:
        route = {"receiver": "on-call", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        receiver = {"name": "on-call", "webhook_configs": [{"url": self.webhook.url, "send_resolved": True}]}
        return {"route": route, "receivers": [receiver]}

    def _write(self, name: str, content: Json) -> None:
        (self._folder / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def _start(self, program: str, name: str, port: int, *arguments: str) -> None:
        command = [program, f"--config.file={self._folder / name}.yaml", f"--web.listen-address=127.0.0.1:{port}"]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes.append(subprocess.Popen([*command, *arguments], stdout=log, stderr=log))
        eventually(lambda: _is_ready(port))

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._folder.glob("*.log")))


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
