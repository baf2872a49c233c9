"""An operator's process, which a test kills and starts again."""

import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class OperatorProcess:
    """An operator.

    Attributes:
        identity: of the replica.
        command: that started it.
        environment: in which.
        port: of health and metrics.
        log: what it wrote.
        popen: the process.
    """

    identity: str
    command: list[str]
    environment: Mapping[str, str]
    port: int
    log: Path
    popen: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Starts it, also again, as a supervisor would."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def terminate(self) -> None:
        """Ends it as Kubernetes does; it gives its Lease back."""
        self.popen.terminate()
        self.popen.wait(30)

    def get(self, path: str) -> str:
        """Returns what it answers; empty where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def is_leader(self) -> bool:
        return "anamnesis_operator_leader 1.0" in self.get("/metrics")
