"""What is left when everything has settled: the same whatever went wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from anamnesis.records import EntryKind
from anamnesis.registry import Log, fold, list_outcomes, list_versions, verify, verify_versions
from anamnesis.storage import open_store


@dataclass(frozen=True)
class EndState:
    """Of a model's registry; two of them are equal where the same was learned, judged and decided.

    Attributes:
        promoted: every version that became champion, in order; the last is in use.
        decisions: kind and subject of each log entry that is no claim, in order.
        outcomes: site, base, kind and version of what each run found, in the order of the log.
        versions: digests of all that were trained.
        ignored: log entries that the rules do not allow.
        problems: what verifying found.
    """

    promoted: tuple[str, ...]
    decisions: tuple[tuple[EntryKind, str], ...]
    outcomes: frozenset[tuple[str, str, str, str]]
    versions: tuple[str, ...]
    ignored: int
    problems: tuple[str, ...]
    runs_written: int

    def first(self, updates: int) -> "EndState":
        """Returns what it was after the first of its updates, each of which was promoted."""
        kept = set(self.promoted[:updates])
        return EndState(
            self.promoted[:updates],
            tuple((kind, subject) for kind, subject in self.decisions if subject in kept),
            frozenset(one for one in self.outcomes if one[3] in kept),
            tuple(version for version in self.versions if version in kept),
            self.ignored,
            self.problems,
            updates,
        )


def end_state(registry: str, bucket: Mapping[str, str]) -> EndState:
    """Returns what is left in a registry.

    Args:
        registry: its URL.
        bucket: the environment in which it is found.
    """
    store = open_store(registry, bucket)
    entries = Log(store).entries()
    outcomes = list_outcomes(store)
    return EndState(
        promoted=fold(entries).promoted,
        decisions=tuple((entry.kind, entry.subject) for entry in entries if entry.kind is not EntryKind.CLAIM),
        outcomes=frozenset((one.site, one.base, one.kind, one.version) for one in outcomes),
        versions=tuple(sorted(list_versions(store))),
        ignored=len(fold(entries).ignored),
        problems=(*verify(store), *verify_versions(store)),
        runs_written=len(outcomes),
    )
