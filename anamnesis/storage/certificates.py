"""Why the certificate of a TLS server was not accepted, in words, and what to do. Pure."""

import re


def certificate_problem(error: object) -> str:
    """Returns the words of the TLS library in an error, for example ``certificate is not yet valid``."""
    text = " ".join(str(error).split())
    reason = re.search(r"\] ([^\]]+?)\.? \(_ssl", text)
    return reason[1] if reason else "the TLS library gives no reason"


def certificate_remedy(problem: str, otherwise: str) -> str:
    """Returns what to do; a certificate outside of its dates is a matter of clocks, not of authorities.

    Args:
        problem: from ``certificate_problem``.
        otherwise: what to do where the certificate's authority is not known.
    """
    if "not yet valid" in problem or "expired" in problem:
        return "compare the clocks of this machine and of the server, set them with NTP, or renew the certificate"
    return otherwise
