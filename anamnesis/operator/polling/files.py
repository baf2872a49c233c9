"""Files in a folder or below a bucket's prefix. No cursor: these can only be listed."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import PollResult
from anamnesis.records import SourceState, digest_json
from anamnesis.sources import count_patients_at_most, open_source


def poll_files(url: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
    """See ``SourcePoller``. An empty folder or prefix is a source without data; a missing folder is an error.

    The fingerprint covers names, tags and sizes, so that other content under the same name is a change.
    """
    items = open_source(url, environment).list_items()
    file_entries = [[item.key.encode("utf-8", "backslashreplace").decode(), item.etag, item.size] for item in items]
    return PollResult(SourceState(digest_json(file_entries), len(items), count_patients_at_most(items)))
