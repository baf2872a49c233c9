"""Log entries of a person's changes of a site's frozen data."""

import pytest

from anamnesis.records import EntryKind, InputError
from anamnesis.registry import Log, build_history, record_site_change
from anamnesis.storage.store import open_store


@pytest.mark.parametrize("kind", [EntryKind.ISSUE_TEST_SET, EntryKind.REKEY])
def test_a_change_is_logged_once_with_both_digests(tmp_path, kind) -> None:
    store = open_store(tmp_path.as_uri())
    words = {"replaced": "sha256:old", "subject": "sha256:new", "author": "rossi", "reason": "labels were swapped"}
    entry = record_site_change(store, kind, "north", **words)
    assert entry
    assert (entry.kind, entry.site, entry.replaced_subject, entry.subject) == (
        kind,
        "north",
        "sha256:old",
        "sha256:new",
    )
    assert record_site_change(store, kind, "north", **words) is None
    assert record_site_change(store, kind, "south", **words)
    with pytest.raises(InputError, match="no author given"):
        record_site_change(store, kind, "north", **{**words, "author": " ", "subject": "sha256:newer"})
    history = build_history(Log(store).entries())
    assert history.champion is None
    is_test_set = kind is EntryKind.ISSUE_TEST_SET
    assert (history.earlier_test_set("sha256:new") == "sha256:old") is is_test_set
