"""kopf as the layer that watches: it lists, watches, and comes back; what it hears goes to one function.

Nothing of kopf's is written to any object: no finalizer, no annotation, no event, no peering.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import kopf
from kubernetes.client import Configuration

from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.kubernetes_api import Json

Hear = Callable[[str, bool, Json], None]
"""Told of each event: the kind, whether the object is there, the object."""

RESTART = 2.0
"""Seconds until kopf is started again after it gave up."""

logger = logging.getLogger(__name__)


class Watch:
    """A thread with its own event loop.

    Args:
        where: the API server.
        namespaces: to watch; none for all.
        hear: told of each event; it must be quick and must not raise.
    """

    def __init__(self, where: Configuration, namespaces: tuple[str, ...], hear: Hear) -> None:
        self._where, self._namespaces, self._hear = where, namespaces, hear
        self._stop, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Starts to watch."""
        self._thread.start()

    def stop(self, seconds: float = 5) -> None:
        """Stops; waits for the end at most so long."""
        self._stop.set()
        self._ended.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._watch())
            except asyncio.CancelledError:
                pass
            except Exception:  # kopf gives up for good at errors that pass, as of a server that starts
                logger.exception("the watches broke off; they start again")
            self._stop.wait(RESTART)

    async def _watch(self) -> None:
        """Watches until stopped. The flag is one of this loop: a thread that waits for one would never end."""
        flag = asyncio.Event()
        stopper = asyncio.create_task(self._raise_at_stop(flag))
        try:
            await kopf.operator(
                registry=_registry(self._where, self._hear),
                settings=_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=flag,
            )
        finally:
            stopper.cancel()

    async def _raise_at_stop(self, flag: asyncio.Event) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        flag.set()


def _registry(where: Configuration, hear: Hear) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(_login(where))
    group, _, version = API_VERSION.partition("/")
    for kind in KINDS:
        kopf.on.event(group, version, f"{kind.lower()}s", registry=registry, id=kind)(_handler(kind, hear))
    return registry


def _handler(kind: str, hear: Hear) -> Callable[..., Any]:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        hear(kind, event["type"] != "DELETED", event["object"])

    return handle


def _login(where: Configuration) -> Callable[..., Any]:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        scheme, _separator, token = (where.get_api_key_with_prefix("authorization") or "").partition(" ")
        return kopf.ConnectionInfo(
            server=where.host,
            ca_path=where.ssl_ca_cert,
            insecure=not where.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=where.cert_file,
            private_key_path=where.key_file,
        )

    return login


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # it would need the right to list all definitions and namespaces
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (0.5, 1, 1, 2, 2, 5)
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    return settings
