"""Watches: for each kind and namespace a thread that lists, watches, and passes each object on."""

import logging
import random
import threading
from collections.abc import Callable

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.kubernetes_api import (
    JsonDocument,
    KubernetesApi,
    ResourceVersionGoneError,
    resource_path,
)
from anamnesis.records import AnamnesisError

HandleEvent = Callable[[str, bool, JsonDocument], None]
"""Called with each event: the kind, whether the object exists, the object."""

RESTART_SECONDS = 2.0
"""About how long after a failure a watch starts again."""
_PAUSE_SECONDS = 0.1
"""Pause after a watch that the server ended: one that ends each watch at once must not keep this process busy."""

logger = logging.getLogger(__name__)


class WatchThreads:
    """Threads that watch all kinds.

    Args:
        api: the API server.
        namespaces: namespaces to watch; none for all.
        handle_event: called with each event; it must be fast and must not raise.
    """

    def __init__(self, api: KubernetesApi, namespaces: tuple[str, ...], handle_event: HandleEvent) -> None:
        self._api, self._namespaces, self._handle_event = api, namespaces, handle_event
        self._stop = threading.Event()

    def start(self) -> None:
        """Starts watching."""
        for kind in KINDS:
            for namespace in self._namespaces or ("",):
                name = f"watch-{kind}-{namespace}"
                threading.Thread(target=self._run, args=(kind, namespace), name=name, daemon=True).start()

    def stop(self) -> None:
        """Passes no event on from now on. The threads end with the process: they may be in a long read."""
        self._stop.set()

    def _run(self, kind: str, namespace: str) -> None:
        version = ""
        while not self._stop.is_set():
            pause = RESTART_SECONDS * random.uniform(0.5, 1.5)
            try:
                version = version or self._list(kind, namespace)
                version = self._watch(kind, namespace, version)
                pause = _PAUSE_SECONDS  # the server ends each watch after some minutes
            except ResourceVersionGoneError:
                version, pause = "", _PAUSE_SECONDS
            except AnamnesisError as error:
                logger.warning("the watch of %s starts again: %s", kind, error)
            except Exception:  # a defect must not end the thread
                logger.exception("unexpected error in the watch of %s: report it as a defect", kind)
                version = ""
            self._stop.wait(pause)

    def _list(self, kind: str, namespace: str) -> str:
        """Passes every object on; returns the version of the listing, from which a watch continues."""
        version = ""
        for page in self._api.list_pages(resource_path(kind, namespace)):
            for document in page.get("items") or ():
                self._pass_on(kind, True, document)
            version = page["metadata"]["resourceVersion"]
        return version

    def _watch(self, kind: str, namespace: str, version: str) -> str:
        """Passes changes on until the server ends the watch; returns the last version that was seen."""
        for event_type, document in self._api.watch(resource_path(kind, namespace), version):
            version = document["metadata"]["resourceVersion"]
            if event_type != "BOOKMARK":
                self._pass_on(kind, event_type != "DELETED", document)
        return version

    def _pass_on(self, kind: str, exists: bool, document: JsonDocument) -> None:
        if not self._stop.is_set():
            self._handle_event(kind, exists, document)
