"""A registry knows the sites that its model has learned."""

from dataclasses import replace

import pytest

from anamnesis.records import EntryKind, Task, TaskType
from anamnesis.registry import record_site_change
from anamnesis.registry.identity import OtherModelError
from anamnesis.registry.site_identity import SiteIdentity, check_site, list_sites
from anamnesis.storage import Store

KEY, OTHER_KEY = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NORTH = SiteIdentity("north", Task("pneumonia", TaskType.CLASSIFICATION, ("no", "yes")), KEY)


def test_a_site_is_recorded_once(folder: Store) -> None:
    check_site(folder, NORTH)
    check_site(folder, NORTH)
    check_site(folder, replace(NORTH, site="south", key_fingerprint=OTHER_KEY))
    assert [site.site for site in list_sites(folder)] == ["north", "south"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            replace(NORTH, key_fingerprint=OTHER_KEY),
            r"spec\.splitKey: .*the key 111111111111, .* 222222222222 now",
        ),
        (replace(NORTH, task=replace(NORTH.task, classes=("yes", "no"))), r"'pneumonia' of no, yes, and .* of yes, no"),
        (replace(NORTH, task=replace(NORTH.task, name="effusion")), "'effusion'"),
    ],
)
def test_another_key_or_task_is_refused(folder: Store, changed: SiteIdentity, message: str) -> None:
    check_site(folder, NORTH)
    with pytest.raises(OtherModelError, match=f"^Site north: .*{message}"):
        check_site(folder, changed)


def test_a_key_that_was_replaced_by_a_logged_word_is_accepted(folder: Store) -> None:
    check_site(folder, NORTH)
    record_site_change(
        folder, EntryKind.REKEY, "north", replaced=KEY, subject=OTHER_KEY, author="dr", reason="the key was lost"
    )
    check_site(folder, replace(NORTH, key_fingerprint=OTHER_KEY))
    with pytest.raises(OtherModelError):
        check_site(folder, replace(NORTH, key_fingerprint="sha256:" + "3" * 64))
