"""An HTTP proxy of a hospital: it tunnels by CONNECT, and resolves names that no DNS server resolves."""

import contextlib
import socket
from collections.abc import Mapping
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any


class ConnectProxy(ThreadingTCPServer):
    """A proxy that serves while its context is open.

    Args:
        names: host -> address that the proxy connects to.
    """

    daemon_threads = True

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.names, self.requested_hosts = names, list[str]()

    def __enter__(self) -> "ConnectProxy":
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Tunnel(BaseRequestHandler):
    server: ConnectProxy
    request: socket.socket

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := self.request.recv(4096)):
                return
            head += part
        method, target = head.split()[:2]
        host, _, port = target.decode().rpartition(":")
        self.server.requested_hosts.append(host)
        if method != b"CONNECT" or host not in self.server.names:
            self.request.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        with socket.create_connection((self.server.names[host], int(port))) as upstream:
            self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            return_thread = Thread(target=_pump, args=(upstream, self.request), daemon=True)
            return_thread.start()
            _pump(self.request, upstream)
            return_thread.join()


def _pump(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
