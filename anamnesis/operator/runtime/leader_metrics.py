"""The metrics of the leader at every replica, so that a Service always answers with them."""

import urllib.error
import urllib.request
from ipaddress import ip_address

from anamnesis.records import InputError, UnreachableError

TIMEOUT_SECONDS = 5.0


def metrics_address(address: str, port: int) -> str:
    """Returns an IP address and a port as in a URL; empty without an address.

    Raises:
        InputError: ``address`` is not an IP address.
    """
    if not address:
        return ""
    try:
        return f"[{address}]:{port}" if ip_address(address).version == 6 else f"{address}:{port}"
    except ValueError:
        raise InputError(f"--address: {address} is not an IP address") from None


def fetch_leader_metrics(leader_address: str) -> bytes:
    """Returns the metrics of the leader.

    Args:
        leader_address: IP address and port, as ``metrics_address`` returns them; empty where no leader is known.

    Raises:
        UnreachableError: no leader is known, or it does not answer.
    """
    if not leader_address:
        raise UnreachableError(
            "no replica leads, or the leader has no --address: read the holder of the operator's Lease"
        )
    host, _, port = leader_address.rpartition(":")
    try:
        url = f"http://{metrics_address(host.strip('[]'), int(port))}/metrics"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=TIMEOUT_SECONDS) as response:
            body: bytes = response.read()
            return body
    except (OSError, ValueError, InputError) as error:  # includes the errors of urllib
        reason = getattr(error, "reason", error)
        raise UnreachableError(
            f"the leader at {leader_address} does not answer with its metrics ({reason}): if it stopped, another "
            "replica leads within seconds; else a NetworkPolicy may forbid that replicas reach each other"
        ) from None
