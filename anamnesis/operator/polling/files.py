"""Files in a folder or below a bucket's prefix. No cursor: a listing is all that such a place can tell."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import Glance
from anamnesis.records import Arrival, digest_json
from anamnesis.sources import open_source, patients_at_most


def look_at_files(url: str, cursor: str, environment: Mapping[str, str]) -> Glance:
    """See ``Probe``. An empty folder or prefix is a site where nothing has arrived yet; a missing folder is an error.

    The fingerprint counts names, tags and sizes, so that other content under the same name is a change.
    """
    items = open_source(url, environment).items()
    listed = [[item.key.encode("utf-8", "backslashreplace").decode(), item.etag, item.size] for item in items]
    return Glance(Arrival(digest_json(listed), len(items), patients_at_most(items)))
