"""What the registry commands read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anamnesis.local.context import select
from anamnesis.records import Evaluation, InputError, LogEntry, Version
from anamnesis.registry import Head, History, Log, fold, list_versions, read_evaluations, read_version
from anamnesis.storage import Store, open_store


@dataclass(frozen=True, slots=True)
class Summary:
    """One line about a version."""

    version: str
    site: str
    method: str
    base: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Details:
    """All about a version."""

    digest: str
    state: str
    version: Version
    evaluations: tuple[Evaluation, ...]
    entries: tuple[LogEntry, ...]


def open_registry(files: Sequence[Path] | None, url: str, model: str) -> Store:
    """Returns the registry that the options name.

    Raises:
        InputError: they name none.
    """
    if url:
        return open_store(url)
    if not files:
        raise InputError("which registry? give -f model.yaml or --registry URL")
    return select(files, model).registry


def known_head(files: Sequence[Path] | None, model: str) -> Head | None:
    """Returns the log's head as this machine last saw it, or none."""
    return select(files, model).state.head() if files else None


def find_version(store: Store, text: str) -> str:
    """Returns the digest of the one version whose digest begins with ``text``; ``champion`` stands for the champion.

    Raises:
        InputError: there is none, or several.
    """
    if text == "champion":
        champion = fold(Log(store).entries()).champion
        if champion is None:
            raise InputError(f"{store.url}: there is no champion yet")
        return champion
    start = text if text.startswith("sha256:") else f"sha256:{text}"
    found = [digest for digest in list_versions(store) if digest.startswith(start)]
    if len(found) != 1 or len(text) < 4:
        raise InputError(f"version {text!r}: {len(found)} versions of {store.url} begin so; give more of the digest")
    return found[0]


def summaries(store: Store) -> list[Summary]:
    """Returns every version: the promoted ones in order, then the others."""
    history = fold(Log(store).entries())
    digests = [*history.promoted, *(digest for digest in list_versions(store) if digest not in history.promoted)]
    found = []
    for digest in digests:
        version = read_version(store, digest)
        method = str(version.configuration.get("method", "imported"))
        found.append(Summary(digest, version.site, method, version.base, state_of(digest, history)))
    return found


def state_of(digest: str, history: History) -> str:
    """Returns what became of a version, in one word."""
    if digest == history.champion:
        return "champion"
    if digest in history.promoted:
        return "rolled back" if digest in history.rolled_back else "earlier champion"
    if digest in history.rejected:
        return "rejected"
    return "superseded" if digest in history.superseded else "candidate"


def details(store: Store, digest: str) -> Details:
    """Returns all about one version."""
    entries = Log(store).entries()
    version = read_version(store, digest)
    about = tuple(entry for entry in entries if entry.subject == digest)
    return Details(digest, state_of(digest, fold(entries)), version, read_evaluations(store, digest), about)
