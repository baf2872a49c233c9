"""How kopf gets the credentials of the operator."""

import asyncio
from itertools import count

from kubernetes.client import Configuration

from anamnesis.operator.runtime.watch import _make_login


def test_each_login_reads_the_token_again() -> None:
    client_configuration, numbers = Configuration(host="https://api"), count(1)

    def refresh(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = f"bearer token-{next(numbers)}"

    client_configuration.refresh_api_key_hook = refresh
    login = _make_login(client_configuration)
    first, second = (asyncio.run(login()) for _ in range(2))
    assert (first.scheme, first.token, first.server) == ("bearer", "token-1", "https://api")
    assert second.token == "token-2"
