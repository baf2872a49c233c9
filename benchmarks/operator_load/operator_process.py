"""One real operator process, and what it uses of the machine (from ``/proc``, Linux)."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.operator_load.fleet import NAMESPACE


class MeasuredOperator:
    """An operator that runs while its context is open.

    Args:
        kubeconfig: of the API server.
        folder: for its state and its log.
        options: more options of the command.
    """

    def __init__(self, kubeconfig: Path, folder: Path, options: tuple[str, ...] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        command = [sys.executable, "-m", "anamnesis.cli", "operator", "--identity=benchmark", f"--port={self._port}"]
        command += [f"--namespace={NAMESPACE}", f"--lease-namespace={NAMESPACE}", f"--state={folder}", "--grace=2"]
        self._command, self._log = [*command, *options], folder / "operator.log"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}

    def __enter__(self) -> "MeasuredOperator":
        self.started_at = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def check_running(self) -> None:
        """Raises where the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the operator ended: {self._log.read_text()[-2000:]}")

    def cpu_seconds(self) -> float:
        """Returns the seconds of one core that the process has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mebibytes(self) -> float:
        """Returns the proportional set size: shared pages count in part, unlike in the resident set size."""
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert match is not None
        return int(match[1]) / 1024

    def scrape(self) -> str:
        """Returns its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text
