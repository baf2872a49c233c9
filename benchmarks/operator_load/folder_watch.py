"""Observes from outside when folders are listed: the kernel reports each opening of a folder (inotify, Linux)."""

import ctypes
import os
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_OPENED, _IS_FOLDER = 0x20, 0x40000000
_HEADER = struct.Struct("iIII")
_SAME_POLL_SECONDS = 0.5
"""A poll may open its folder more than once."""


class FolderWatch:
    """Records when folders are listed.

    Args:
        folders: name -> folder.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._file = library.inotify_init1(os.O_CLOEXEC)
        self._names = {
            library.inotify_add_watch(self._file, os.fsencode(folder), _OPENED): name
            for name, folder in folders.items()
        }
        if len(self._names) != len(folders) or min(self._names, default=0) < 0:
            raise OSError("the kernel watches no more folders: raise fs.inotify.max_user_watches")
        self._times: dict[str, list[float]] = defaultdict(list)
        threading.Thread(target=self._read_events, name="folder-watch", daemon=True).start()

    def times(self) -> dict[str, list[float]]:
        """Returns name -> when its folder was listed, in seconds of ``time.monotonic``."""
        return {name: list(times) for name, times in self._times.items()}

    def _read_events(self) -> None:
        while events := os.read(self._file, 1 << 20):
            read_at, offset = time.monotonic(), 0
            while offset < len(events):
                watch, mask, _, name_length = _HEADER.unpack_from(events, offset)
                offset += _HEADER.size + name_length
                if mask & _IS_FOLDER and not name_length and watch in self._names:
                    times = self._times[self._names[watch]]
                    if not times or read_at - times[-1] > _SAME_POLL_SECONDS:
                        times.append(read_at)
