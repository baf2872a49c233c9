"""Reconciles one Site: polls its source, writes its status."""

import random
from datetime import datetime, timedelta

from anamnesis.operator.api.condition_types import READY
from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.site.conditions import site_status
from anamnesis.operator.controllers.site.state import poll_site
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records.timestamps import Clock

_POLL_JITTER = 0.1
_UNREADABLE_POLL_INTERVAL = timedelta(minutes=1)
"""The longest wait while a source is not readable: a person who repairs it wants to see the effect."""
_POLLS_PER_STATUS_WRITE = 3
"""Polls without a change between two writes of the status: each write costs the API server."""


class SiteReconciler:
    """Reconciles Sites.

    Args:
        cluster: the API server.
        clock: returns the time, UTC.
        options: has the environment of the process.
        cache: what the watches reported, if there is one. A poll starts from it where it has what this object wrote
            last. A newer spec that it lacks is reconciled when the watch reports it; the status is written to the
            Site as it is then, with the generation of the spec that was polled.
    """

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions, cache: Cache | None = None) -> None:
        self._cluster, self._clock, self._options, self._cache = cluster, clock, options, cache
        self._last_poll_times: dict[ReconcileKey, datetime | None] = {}

    def reconcile(self, key: ReconcileKey) -> timedelta | None:
        """Polls a site's source once and writes the site's status; a failure of the source becomes a condition.

        Returns:
            When to poll again: after ``pollInterval``, a little more or less so that sites are not polled all at once,
            and soon where the source is not readable; none where the Site is deleted.

        Raises:
            UnreachableError: the API server is not reachable.
        """
        site = self._read_site(key)
        if site is None or site.metadata.deletion_timestamp:
            self._last_poll_times.pop(key, None)
            return None
        now = self._clock()
        status = site_status(poll_site(self._cluster, site, self._options.environment, now))
        interval = parse_duration(site.spec.source.poll_interval)
        if _needs_status_write(site.status, status, _POLLS_PER_STATUS_WRITE * interval):
            self._cluster.put_status(site, status)
            self._last_poll_times[key] = status.last_poll_time
        wait = interval if status.is_true(READY) else min(interval, _UNREADABLE_POLL_INTERVAL)
        return wait * random.Random(f"{key} {now}").uniform(1 - _POLL_JITTER, 1 + _POLL_JITTER)

    def _read_site(self, key: ReconcileKey) -> Site | None:
        """The Site from the cache, or from the API server where the cache may lack the status that was written last."""
        cached_site = self._cache.get(Site, key.namespace, key.name) if self._cache else None
        last_poll_time = self._last_poll_times.get(key)
        if cached_site and last_poll_time and cached_site.status.last_poll_time == last_poll_time:
            return cached_site
        site = self._cluster.get(Site, key.namespace, key.name)
        if site is not None:
            self._last_poll_times[key] = site.status.last_poll_time
        return site


def _needs_status_write(previous_status: SiteStatus, new_status: SiteStatus, write_interval: timedelta) -> bool:
    """Whether more than the time and the cursor of the poll has changed, or the last write was long ago."""
    is_write_due = (
        previous_status.last_poll_time is None
        or new_status.last_poll_time is None
        or new_status.last_poll_time - previous_status.last_poll_time >= write_interval
    )
    return is_write_due or _without_poll_fields(previous_status) != _without_poll_fields(new_status)


def _without_poll_fields(status: SiteStatus) -> SiteStatus:
    source = status.source.model_copy(update={"cursor": ""}) if status.source else None
    return status.model_copy(update={"last_poll_time": None, "source": source})
