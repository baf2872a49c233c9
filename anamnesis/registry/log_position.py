"""A position in the log."""

from dataclasses import dataclass

from anamnesis.records import InputError, LogEntry


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Number and digest of the last entry; 0 and empty for an empty log. Written ``<number>:<digest>``.

    A position that is kept outside the registry proves later that no entry up to it was changed or removed.
    """

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def of_entry(cls, entry: LogEntry) -> "LogPosition":
        """Returns the position of a log whose last entry is ``entry``."""
        return cls(entry.number, entry.digest)

    @classmethod
    def parse(cls, text: str) -> "LogPosition":
        """Reads ``<number>:<digest>``.

        Raises:
            InputError: ``text`` has another form.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()):
            raise InputError(
                f"log head {text!r}: expected <number>:sha256:<64 hex digits>; "
                "use the head that an earlier 'anamnesis registry verify' printed"
            )
        return cls(int(number), digest)
