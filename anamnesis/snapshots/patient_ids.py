"""Identifiers of patients: one form for each, whatever program wrote it."""

import re
import unicodedata

_WHOLE_NUMBER = re.compile(r"0*([0-9]+?)(?:\.0*)?")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_EMPTY_CELLS = {
    "nan",
    "none",
    "null",
    "n/a",
    "#n/a",
    "<na>",
    "#ref!",
    "#value!",
    "#name?",
    "#num!",
    "#null!",
    "#div/0!",
}


def normalise_patient_id(identifier: object) -> str:
    """Returns the one form of an identifier; the only function that compares patients goes through it.

    Unicode is composed and folded (NFKC), digits of every script and full-width ones are 0 to 9, dashes are ``-``,
    invisible characters and outer spaces are removed, inner spaces are one space, case does not count. A whole number
    has no fraction and no leading zeros: spreadsheets add the first and remove the second. The cells that programs
    write for a missing value (``nan``, ``None``, ``N/A``, ``#REF!``) are empty. Two patients who differ in these things
    alone count as one: that costs a little data, while one patient under two forms would be on both sides of a split.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(identifier)).casefold())
    visible = (character for character in text if unicodedata.category(character) not in ("Cc", "Cf"))
    folded = "".join(str(unicodedata.decimal(character, character)) for character in visible)
    compact = " ".join(folded.translate(_DASHES).split())
    if compact in _EMPTY_CELLS:
        return ""
    number = _WHOLE_NUMBER.fullmatch(compact)
    return number[1] if number else compact
