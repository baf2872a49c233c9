"""Watches, by kopf: it lists, watches and reconnects, and passes each event to one function.

kopf writes nothing to any object: no finalizer, no annotation, no event, no peering.
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
from anamnesis.operator.runtime.kubernetes_api import JsonDocument

HandleEvent = Callable[[str, bool, JsonDocument], None]
"""Called with each event: the kind, whether the object exists, the object."""

RESTART_SECONDS = 2.0
"""Seconds until kopf is started again after it failed."""

logger = logging.getLogger(__name__)


class WatchThread:
    """A thread with its own event loop, in which kopf runs.

    Args:
        configuration: address of the API server and credentials.
        namespaces: namespaces to watch; none for all.
        handle_event: called with each event; it must be fast and must not raise.
    """

    def __init__(self, configuration: Configuration, namespaces: tuple[str, ...], handle_event: HandleEvent) -> None:
        self._configuration, self._namespaces, self._handle_event = configuration, namespaces, handle_event
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Starts watching."""
        self._thread.start()

    def stop(self, timeout: float = 5) -> None:
        """Stops watching; waits at most ``timeout`` seconds for the thread to end."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._run_kopf())
            except asyncio.CancelledError:
                pass
            except Exception:  # kopf stops at temporary errors, as of an API server that starts
                logger.exception("the watches failed; they start again in %g seconds", RESTART_SECONDS)
            self._stop.wait(RESTART_SECONDS)

    async def _run_kopf(self) -> None:
        """Watches until stopped. The flag belongs to this loop: kopf would wait for a ``threading.Event`` forever."""
        stop_flag = asyncio.Event()
        stop_task = asyncio.create_task(self._set_flag_on_stop(stop_flag))
        try:
            await kopf.operator(
                registry=_make_registry(self._configuration, self._handle_event),
                settings=_make_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=stop_flag,
            )
        finally:
            stop_task.cancel()

    async def _set_flag_on_stop(self, stop_flag: asyncio.Event) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        stop_flag.set()


def _make_registry(configuration: Configuration, handle_event: HandleEvent) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(_make_login(configuration))
    group, _, version = API_VERSION.partition("/")
    for kind in KINDS:
        kopf.on.event(group, version, f"{kind.lower()}s", registry=registry, id=kind)(
            _make_event_handler(kind, handle_event)
        )
    return registry


def _make_event_handler(kind: str, handle_event: HandleEvent) -> Callable[..., Any]:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        handle_event(kind, event["type"] != "DELETED", event["object"])

    return handle


def _make_login(configuration: Configuration) -> Callable[..., Any]:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        scheme, _separator, token = (configuration.get_api_key_with_prefix("authorization") or "").partition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    return login


def _make_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # scanning needs the right to list all definitions and namespaces
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None  # a timeout would kill the whole process
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (0.5, 1, 1, 2, 2, 5)
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    return settings
