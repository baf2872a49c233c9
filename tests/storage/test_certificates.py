"""What a person reads about a certificate: a wrong clock is not a wrong authority."""

import pytest

from anamnesis.storage.certificates import certificate_problem, certificate_remedy

FAILED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"


@pytest.mark.parametrize(
    ("error", "problem", "is_about_clocks"),
    [
        (f"{FAILED}: certificate is not yet valid (_ssl.c:1006)", "certificate is not yet valid", True),
        (f"{FAILED}: certificate has expired (_ssl.c:1006)", "certificate has expired", True),
        (f"Caused by SSLError(1, '{FAILED}: unable to get local issuer certificate (_ssl.c:1006)')", "issuer", False),
        (f"{FAILED}: Hostname mismatch, certificate is not valid for 'a'. (_ssl.c:1)", "not valid for 'a'", False),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "wrong version number", False),
        ("EOF", "the TLS library gives no reason", False),
    ],
)
def test_a_clock_is_told_from_an_authority(error: str, problem: str, is_about_clocks: bool) -> None:
    words = certificate_problem(error)
    assert problem in words
    assert ("compare the clocks" in certificate_remedy(words, "set the authority")) == is_about_clocks
