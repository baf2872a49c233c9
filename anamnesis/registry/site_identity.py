"""The sites of a registry: the task and the split key with which each one was learned first. Written once each."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.records import EntryKind, Signature, Task, short_digest
from anamnesis.registry.identity import OtherModelError
from anamnesis.registry.log import Log
from anamnesis.registry.registry_store import load_signed, signing_of, write_signed
from anamnesis.storage.store import Store, check_key

SITES = "sites/"


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """A site when the registry's model learned it first.

    Attributes:
        site: its name.
        task: its task.
        key_fingerprint: fingerprint of its split key.
        signature: of the run; none where the model has no signing keys.
        schema: schema of this record.
    """

    site: str
    task: Task
    key_fingerprint: str
    signature: Signature | None = None
    schema: int = 1


def check_site(store: Store, present: SiteIdentity) -> None:
    """Records a site at its first update, and compares it at every later one.

    Args:
        store: the registry.
        present: the site now.

    Raises:
        OtherModelError: the site has another split key, which nobody logged, or its task has other classes.
    """
    first = write_signed(store, check_key(f"{SITES}{present.site}.json"), present)
    if (first.task.name, first.task.type, first.task.classes) != (
        present.task.name,
        present.task.type,
        present.task.classes,
    ):
        raise OtherModelError(
            f"Site {present.site}: spec.task: {store.url} has learned it as {_describe(first.task)}, and it is "
            f"{_describe(present.task)} now; restore the task, or create a Site with another name"
        )
    if present.key_fingerprint != first.key_fingerprint and not _is_rekeyed(store, present):
        raise OtherModelError(
            f"Site {present.site}: spec.splitKey: {store.url} has learned it with the key "
            f"{short_digest(first.key_fingerprint)}, and its key is {short_digest(present.key_fingerprint)} now, so "
            "patients of its test set could be trained on. Two models may use this registry: give each its own. If the "
            "key was lost, run: anamnesis key replace -f FILE --site SITE --reason TEXT"
        )


def list_sites(store: Store) -> Iterator[SiteIdentity]:
    """Yields the recorded sites; raises the errors of ``load_signed``."""
    for info in store.list(SITES):
        yield load_signed(store, SiteIdentity, info.key)


def _is_rekeyed(store: Store, present: SiteIdentity) -> bool:
    is_signed = signing_of(store).is_signed
    return any(
        entry.kind is EntryKind.REKEY
        and (entry.site, entry.subject) == (present.site, present.key_fingerprint)
        and is_signed(entry)
        for entry in Log(store).entries()
    )


def _describe(task: Task) -> str:
    return f"{task.type.value} {task.name!r} of {', '.join(task.classes)}"
