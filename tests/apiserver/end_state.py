"""What is left when everything has settled: the same whatever went wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from anamnesis.records import EntryKind
from anamnesis.registry import Log, build_history, list_update_results, list_versions, verify_log, verify_objects
from anamnesis.storage import open_store


@dataclass(frozen=True)
class EndState:
    """Of a model's registry; two of them are equal where the same was learned, judged and decided.

    Attributes:
        promoted: every version that became champion, in order; the last is in use.
        decisions: kind and subject of each log entry that is not a claim, in the order of the log.
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

    def first_updates(self, updates: int) -> "EndState":
        """Returns what it was after the first of its updates, each of which was promoted."""
        first_promoted = set(self.promoted[:updates])
        return EndState(
            self.promoted[:updates],
            tuple((kind, subject) for kind, subject in self.decisions if subject in first_promoted),
            outcomes=frozenset(outcome for outcome in self.outcomes if outcome[3] in first_promoted),
            versions=tuple(version for version in self.versions if version in first_promoted),
            ignored=self.ignored,
            problems=self.problems,
            runs_written=updates,
        )


def end_state(registry: str, bucket: Mapping[str, str]) -> EndState:
    """Returns what is left in a registry.

    Args:
        registry: its URL.
        bucket: the environment in which it is found.
    """
    store = open_store(registry, bucket)
    entries = Log(store).entries()
    outcomes = list_update_results(store)
    return EndState(
        promoted=build_history(entries).promoted_versions,
        decisions=tuple((entry.kind, entry.subject) for entry in entries if entry.kind is not EntryKind.CLAIM),
        outcomes=frozenset((outcome.site, outcome.base, outcome.kind, outcome.version) for outcome in outcomes),
        versions=tuple(sorted(list_versions(store))),
        ignored=len(build_history(entries).ignored_entries),
        problems=(*verify_log(store), *verify_objects(store)),
        runs_written=len(outcomes),
    )
