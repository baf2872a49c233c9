"""``/healthz``, ``/readyz`` and ``/metrics`` on one small server."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from anamnesis.records import InputError, UnreachableError

HealthCheck = Callable[[], tuple[str, ...]]
"""Returns the problems as sentences; empty where there is none."""
TEXT_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

logger = logging.getLogger(__name__)


@contextmanager
def serve_health(
    port: int, check_health: HealthCheck, check_readiness: HealthCheck, render_metrics: Callable[[], bytes]
) -> Iterator[int]:
    """Serves on all addresses while the context lasts; yields the port. With port 0 the system chooses a free one.

    ``render_metrics`` may raise ``UnreachableError``; the answer is then 503 with its message.

    Raises:
        InputError: the port is in use, or this process has no right to use it.
    """
    try:
        server = _HealthServer(("", port), _make_handler(check_health, check_readiness, render_metrics))
    except OSError as error:
        raise InputError(f"port {port} for health and metrics: {error.strerror}; choose another --port") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _HealthServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Logs instead of printing."""
        logger.exception("the operator could not answer a request for health or metrics")


def _make_handler(
    check_health: HealthCheck, check_readiness: HealthCheck, render_metrics: Callable[[], bytes]
) -> type[BaseHTTPRequestHandler]:
    class HealthHandler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer_metrics()
            elif self.path in ("/healthz", "/readyz"):
                problems = (check_health if self.path == "/healthz" else check_readiness)()
                if problems and self.path == "/healthz":  # Kubernetes restarts the pod: only the log keeps the reason
                    logger.error("unhealthy: %s", "; ".join(problems))
                self._answer(503 if problems else 200, ("\n".join(problems) or "ok").encode() + b"\n")
            else:
                self._answer(404, b"not found; use /healthz, /readyz or /metrics\n")

        def _answer_metrics(self) -> None:
            try:
                self._answer(200, render_metrics())
            except UnreachableError as error:
                self._answer(503, f"{error}\n".encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", TEXT_CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing: the probes send a request every few seconds."""

    return HealthHandler
