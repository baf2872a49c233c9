"""The proxy of an address, according to the environment: one rule for buckets and DICOM servers.

The rule is that of curl and of Go: ``NO_PROXY`` is a list, separated by commas or spaces, of hosts, domains (with or
without a dot at the start), addresses, networks (``10.0.0.0/8``), each with or without a port; ``*`` means every host.
What ``requests`` reaches without a proxy is reached so here too, with one exception: for ``requests`` an entry
``ample.org`` also matches ``example.org``; here a name matches whole labels only. The function of ``requests`` does not
serve both: the command line has no ``requests``, and it reads no network of IPv6, no spaces between entries, and no
port of an address.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from anamnesis.records import InputError
from anamnesis.storage.environment_variables import read_variable

_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_proxy(address: SplitResult, environment: Mapping[str, str]) -> str:
    """Returns the URL of the proxy for an address; empty for none.

    Raises:
        InputError: the variable is not the URL of a proxy; the message does not quote it.
    """
    if _is_direct(address, _read_any_case(environment, "no_proxy")):
        return ""
    variable = f"{address.scheme}_proxy"
    proxy = _read_any_case(environment, variable) or _read_any_case(environment, "all_proxy")
    if not proxy:
        return ""
    url = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise InputError(f"{variable.upper()}: expected http://host:port; correct the variable")
    return url


def proxy_login(proxy: str) -> str:
    """Returns ``user:password`` of a proxy's URL; empty where it has none."""
    parts = urlsplit(proxy)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""


def without_login(url: str) -> str:
    """Returns a URL without user, password and query, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _read_any_case(environment: Mapping[str, str], name: str) -> str:
    return read_variable(environment, name) or read_variable(environment, name.upper())


def _is_direct(address: SplitResult, no_proxy: str) -> bool:
    host = _normalise_host(address.hostname or "")
    port = address.port or _DEFAULT_PORTS.get(address.scheme, 0)
    return any(_matches(entry.lower(), host, port) for entry in no_proxy.replace(",", " ").split())


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, entry_port = _split_port(entry)
    if entry_port and entry_port != str(port):
        return False
    if "/" in name:
        return _is_in_network(host, name)
    name = _normalise_host(name.removeprefix("*").lstrip("."))
    return bool(name) and (host == name or (host.endswith(f".{name}") and not _is_address(host)))


def _split_port(entry: str) -> tuple[str, str]:
    """Returns the host and the port of an entry; an address of IPv6 has a port only behind brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host + rest.partition(":")[0], rest.partition(":")[2]
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _normalise_host(host: str) -> str:
    """Returns a host in small letters, without the dot of the root, and an address in its shortest form."""
    name = host.lower().rstrip(".")
    return str(ip_address(name)) if _is_address(name) else name


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
