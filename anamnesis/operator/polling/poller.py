"""The protocol of pollers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anamnesis.records import SourceState


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll of a source.

    Attributes:
        source_state: the state of the source; none where it has not changed since ``cursor``.
        cursor: where the next poll resumes; empty for a source without cursors.
        note: what could not be checked about the listing, for a person; else empty.
    """

    source_state: SourceState | None
    cursor: str = ""
    note: str = ""


class SourcePoller(Protocol):
    """Polls one kind of source."""

    def __call__(self, url: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
        """Polls a source.

        Args:
            url: the source, as ``SiteConfig.source`` has it.
            cursor: of the last poll, or empty.
            environment: credentials, as ``open_source`` expects them.

        Raises:
            InputError: the source is not as expected; the message names the source, never a patient.
            RefusedError: the credentials are not accepted.
            UnreachableError: the source is not reachable.
        """
