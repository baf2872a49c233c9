"""Looking at a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anamnesis.records import SourceState


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one look at a source gave.

    Attributes:
        source_state: what lies there; none where nothing has changed since ``cursor``.
        cursor: where the next look may resume; empty where a source knows no such thing.
    """

    source_state: SourceState | None
    cursor: str = ""


class SourcePoller(Protocol):
    """Looks at one kind of source."""

    def __call__(self, url: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
        """Looks.

        Args:
            url: the source, as ``SiteConfig.source`` has it.
            cursor: of the last look, or empty.
            environment: credentials, as ``open_source`` expects them.

        Raises:
            InputError: the source is not as expected; the message names it, never a patient.
            RefusedError: it wants other credentials.
            UnreachableError: it does not answer.
        """
