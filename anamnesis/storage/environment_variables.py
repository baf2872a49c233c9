"""Values of environment variables that hold addresses and credentials. Many come from Secrets made of files.

A file ends with a line end, some editors begin it with a byte order mark, and an HTTP client that meets such a byte in
a header puts the whole header into its error. So every credential goes through ``read_variable``, and no error quotes
it.
"""

import unicodedata
from collections.abc import Mapping

from anamnesis.records import InputError

_FREE_TEXTS = frozenset({"DICOM_USERNAME", "DICOM_PASSWORD"})
"""Variables whose values may have spaces and letters beyond ASCII; all others go into headers or addresses."""
_EDGE_BYTES = "\r\n\0\ufeff"


def read_variable(environment: Mapping[str, str], name: str) -> str:
    """Returns the value of a variable without the bytes that a file adds at its ends; empty where it is not set.

    Raises:
        InputError: a byte inside the value cannot be sent; the message has the name of the variable, not its value.
    """
    return clean_value(name, environment.get(name, ""))


def clean_value(name: str, value: str) -> str:
    """Returns the value of the variable or key ``name``; see ``read_variable``."""
    text = value.strip(_EDGE_BYTES)
    if name not in _FREE_TEXTS:
        text = text.strip(f"{_EDGE_BYTES} \t")
    if any(not _is_allowed(character, is_free_text=name in _FREE_TEXTS) for character in text):
        raise InputError(
            f"{name}: the value has a line end, a control character or another byte that cannot be sent; write the "
            "value again, for example with: kubectl create secret generic NAME --from-literal=KEY=VALUE"
        )
    return text


def _is_allowed(character: str, is_free_text: bool) -> bool:
    if is_free_text:
        return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
    return " " <= character <= "~"
