import itertools
from urllib.parse import urlsplit

import pytest
import requests
from requests.utils import should_bypass_proxies

from anamnesis.records import InputError
from anamnesis.sources.dicom_http import DICOMServerClient
from anamnesis.storage.proxies import find_proxy
from anamnesis.storage.s3 import S3Store

PROXY = "http://p:3128"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
DIRECT = [
    ("https://s3.example.org:9000", "other.org, .example.org"),
    ("https://s3.example.org", "s3.example.org"),
    ("https://example.org", ".example.org"),
    ("https://s3.example.org", "*"),
    ("http://10.96.3.4:9000", "localhost,127.0.0.1,10.96.0.0/12,.svc"),
    ("http://192.168.1.20:9000", "192.168.1.20"),
    ("http://minio:9000", "minio:9000"),
    ("https://minio", "minio:443"),
    ("http://minio.data.svc:9000", "a b .svc"),
    ("http://minio.data.svc.cluster.local.:9000", "*.cluster.local"),
    ("http://[fd00::5]:9000", "fd00::5"),
    ("http://[fd00:0:0::5]:9000", "[fd00::5]:9000"),
    ("http://[fd00::5]:9000", "fd00::/8"),
    ("http://MINIO.Data.svc:9000", "minio.data.SVC"),
]
PROXIED = [
    ("https://s3.example.org", "ample.org"),
    ("http://s3.example.org", ""),
    ("http://10.112.3.4:9000", "10.96.0.0/12"),
    ("http://minio:9000", "minio:9001"),
    ("http://[fd00::5]:9000", "[fd00::5]:9001"),
    ("http://110.96.3.4", "10.96.3.4"),
    ("http://1.10.96.3", "96.3,10.96.0.0/99"),
    ("http://minio:9000", "/,:,.,[]"),
]


@pytest.mark.parametrize(
    ("address", "no_proxy", "expected"), [(*case, "") for case in DIRECT] + [(*case, PROXY) for case in PROXIED]
)
def test_no_proxy_means_the_same_for_buckets_and_dicom_servers(
    address: str, no_proxy: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"HTTPS_PROXY": PROXY, "http_proxy": PROXY, "NO_PROXY": f"{no_proxy}\n"}
    assert find_proxy(urlsplit(address), environment) == expected
    bucket = S3Store.from_environment("s3://models/x", {**KEYS, **environment, "AWS_ENDPOINT_URL": address})
    assert bool(getattr(bucket._http, "proxy", None)) == bool(expected)
    used: list[dict[str, str]] = []

    def send(session: requests.Session, request: requests.PreparedRequest, **settings: object) -> requests.Response:
        used.append(settings["proxies"])  # type: ignore[arg-type]
        response = requests.Response()
        response.status_code = 204
        return response

    monkeypatch.setattr(requests.Session, "send", send)
    monkeypatch.setenv("HTTP_PROXY", "http://other:1")  # of the process; the environment of the source counts
    assert DICOMServerClient(address, environment).get_json("studies", "the studies") == []
    assert used[0].get(urlsplit(address).scheme, "") == expected


def test_what_requests_reaches_without_a_proxy_is_reached_so_here() -> None:
    hosts = ("minio", "minio.data.svc", "MINIO.data.svc.cluster.local", "s3.example.org", "10.96.3.4", "192.168.1.20")
    networks = ("10.96.0.0/12", "192.168.1.0/24", "192.168.1.20/32", "10.0.0.0/8")
    names = ("minio", ".svc", "svc", "data.svc", ".cluster.local", "example.org", "localhost", "10.96.3.4", "*")
    entries = (*networks, *names, "minio:9000", "minio.data.svc:9000", "example.org:443", "localhost, .svc,10.0.0.0/8")
    direct_cases = 0
    for host, port, no_proxy in itertools.product(hosts, ("", ":9000"), entries):
        address = f"https://{host}{port}"
        if should_bypass_proxies(address, no_proxy):
            direct_cases += 1
            assert find_proxy(urlsplit(address), {"https_proxy": PROXY, "no_proxy": no_proxy}) == "", (
                address,
                no_proxy,
            )
    assert direct_cases > 30
    assert should_bypass_proxies("https://s3.example.org", "ample.org"), "the one exception is as the module says"


def test_a_proxy_with_a_password_is_used_and_never_quoted() -> None:
    environment = {**KEYS, "HTTPS_PROXY": "http://user:s3cret@proxy:3128"}
    pool = S3Store.from_environment("s3://models/x", environment)._http
    assert pool.proxy.url == "http://proxy:3128"  # type: ignore[attr-defined]
    assert pool.proxy_headers["proxy-authorization"].startswith("Basic ")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"^HTTPS_PROXY: expected http://host:port") as caught:
        find_proxy(urlsplit("https://s3.example.org"), {"HTTPS_PROXY": "socks5://user:s3cret@proxy"})
    assert "s3cret" not in str(caught.value)
