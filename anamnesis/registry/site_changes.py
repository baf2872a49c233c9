"""Changes of a site's frozen data that a person ordered: a test set or a split key that replaces another one."""

from anamnesis.records import EntryKind, LogEntry
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.history import History
from anamnesis.registry.log import EntryProposal, Log
from anamnesis.storage.store import Store


def record_site_change(
    store: Store,
    kind: EntryKind,
    site: str,
    *,
    replaced: str,
    subject: str,
    author: str,
    reason: str,
    clock: Clock = utc_now,
) -> LogEntry | None:
    """Records that a test set or a key replaced another one, once; a repeated command adds no second entry.

    Args:
        store: the registry.
        kind: ``ISSUE_TEST_SET`` or ``REKEY``.
        site: name of the site.
        replaced: digest of the earlier test set, or fingerprint of the earlier key.
        subject: digest of the new test set, or fingerprint of the new key.
        author: the person.
        reason: of the person.
        clock: returns the time.

    Returns:
        The new entry; none where the log has it.
    """
    log = Log(store, clock)

    def propose(_: History) -> EntryProposal | None:
        if any(
            (entry.kind, entry.site, entry.subject, entry.replaced_subject) == (kind, site, subject, replaced)
            for entry in log.entries()
        ):
            return None
        return EntryProposal(kind, subject, author, reason, site=site, replaced_subject=replaced)

    return log.append_if(propose)
