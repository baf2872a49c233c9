"""Keeps HTTP libraries from logging: they log the paths of requests, with names of files, UIDs and signatures."""

import logging

_LOGGERS = ("urllib3", "requests", "minio")


def mute_http_logs() -> None:
    """Mutes the loggers of the HTTP libraries at every level; our own errors say what failed."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
