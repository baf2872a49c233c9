"""An Orthanc server: its feed of changes shows cheaply that no data has arrived."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import PollResult
from anamnesis.records import SourceState, digest_json
from anamnesis.sources.orthanc import OrthancDataSource, OrthancState


def poll_orthanc(url: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
    """See ``SourcePoller``. The fingerprint covers instances, tags of their files and sizes."""
    server = OrthancDataSource.from_url(url.removeprefix("orthanc+"), environment)
    current_state = server.read_state()  # before the listing: the next poll finds data that arrives meanwhile
    if not _has_changed(server, OrthancState.parse(cursor), current_state):
        return PollResult(None, str(current_state))
    files, patient_count = server.list_stored_files()
    return PollResult(SourceState(digest_json(files), len(files), patient_count), str(current_state))


def _has_changed(server: OrthancDataSource, previous_state: OrthancState | None, current_state: OrthancState) -> bool:
    if (
        previous_state is None
        or (previous_state.instance_count, previous_state.total_bytes)
        != (current_state.instance_count, current_state.total_bytes)
        or current_state.change_number < previous_state.change_number
    ):
        return True
    return current_state.change_number > previous_state.change_number and server.has_new_instances_since(
        previous_state.change_number
    )
