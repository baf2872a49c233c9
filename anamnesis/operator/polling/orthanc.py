"""An Orthanc server: its feed of changes tells cheaply that nothing has arrived."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import Glance
from anamnesis.records import Arrival, digest_json
from anamnesis.sources.orthanc import Orthanc, State


def look_at_orthanc(url: str, cursor: str, environment: Mapping[str, str]) -> Glance:
    """See ``Probe``. The fingerprint counts instances, tags of their files and sizes."""
    server = Orthanc.at(url.removeprefix("orthanc+"), environment)
    now = server.state()  # before the listing: what arrives meanwhile is found by the next look
    if not _changed(server, State.parse(cursor), now):
        return Glance(None, str(now))
    files = server.files()
    return Glance(Arrival(digest_json(files), len(files), server.patients()), str(now))


def _changed(server: Orthanc, before: State | None, now: State) -> bool:
    if before is None or (before.instances, before.size) != (now.instances, now.size) or now.change < before.change:
        return True
    return now.change > before.change and server.arrived_since(before.change)
