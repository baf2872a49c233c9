"""Verifies the signatures of a registry's log, and says who signed. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anamnesis.records import LogEntry, short_digest
from anamnesis.registry.signing import Signing

_SHOWN_AUTHOR = 60
"""Characters: a message about a forged entry keeps its end, which says what to do."""


@dataclass(frozen=True, slots=True)
class UnverifiedEntry:
    """An entry of the log that does not count as the word of an operator or a person.

    Attributes:
        entry: the entry.
        problem: why.
    """

    entry: LogEntry
    problem: str

    def __str__(self) -> str:
        entry = self.entry
        author = " ".join(entry.author.split())[:_SHOWN_AUTHOR]  # anybody may have written it
        subject = f"{entry.kind.value} {short_digest(entry.subject)[:12]} by {author}"
        return f"log entry {entry.number} ({subject}): {self.problem}"


def find_unverified_entries(entries: Iterable[LogEntry], signing: Signing) -> tuple[UnverifiedEntry, ...]:
    """Returns the entries whose signature does not count; none where the model lists no keys."""
    problems = ((entry, signing.problem_of(entry)) for entry in entries)
    return tuple(UnverifiedEntry(entry, problem) for entry, problem in problems if problem)


def warn_about_unverified_entries(entries: Iterable[LogEntry], signing: Signing) -> tuple[str, ...]:
    """Returns a sentence for the users of a version about the entries whose signature does not count, or nothing."""
    unverified_entries = find_unverified_entries(entries, signing)
    if not unverified_entries:
        return ()
    return (
        f"UnverifiedPromotion: {unverified_entries[0]}. The champion may be a version that nobody approved; run: "
        "anamnesis registry verify -f FILE",
    )


def describe_signers(entries: Sequence[LogEntry], signing: Signing) -> str:
    """Returns who signed the entries of a log, and whether the signatures were verified.

    A role is what an entry says about itself; it is proven only where public keys are given.
    """
    counts = Counter(entry.signature.role.value if entry.signature else "" for entry in entries)
    signers = [f"{count} signed by {role} keys" for role, count in sorted(counts.items()) if role]
    unsigned = [f"{counts['']} unsigned"] if counts[""] or not signers else []
    proof = "verified" if signing.public_keys else "not verified, because no public key is given"
    return f"{len(entries)} log entries: {', '.join([*signers, *unsigned])}; {proof}"
