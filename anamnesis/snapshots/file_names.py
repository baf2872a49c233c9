"""One form for the names of files and labels, which people and systems write in several ways."""

import unicodedata


def normalise_file_name(name: str) -> str:
    """Returns a path in one form: composed letters, single forward slashes, no ``.`` parts, no slash at an end.

    macOS writes decomposed letters, Windows writes backslashes, and tools write ``./x`` or ``a//x``. A space can be at
    an end once a slash there is gone, so the steps are repeated until nothing changes.
    """
    parts = normalise_text(name).replace("\\", "/").split("/")
    path = "/".join(part for part in parts if part not in ("", ".")) or ("." if name.strip() else "")
    return path if path == name else normalise_file_name(path)


def normalise_text(text: str) -> str:
    """Returns text with composed letters (NFC) and without spaces at its ends."""
    return unicodedata.normalize("NFC", text).strip()
