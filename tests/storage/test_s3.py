import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
import urllib3

from anamnesis.records import AnamnesisError, InputError, RefusedError
from anamnesis.storage import Store, open_store, s3
from anamnesis.storage.s3 import S3Store

_prefixes = count()


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on, with the first of ``faults`` applied to the next request.

    ``drop``: the server acts, its reply is lost. ``503 after``: the server acts, and a gateway answers 503.
    ``409 before`` and ``503 before``: the server never sees the request.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _FaultyProxyHandler)
        self.upstream, self.pool = upstream, urllib3.PoolManager(retries=False)
        self.faults: list[str] = []
        self.ignored: set[str] = set()
        self.methods: list[str] = []


class _FaultyProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.pop(0) if self.server.faults else ""
        self.server.methods.append(self.command)
        if fault.endswith("before"):
            self._reply(int(fault.split()[0]), {}, b"")
            return
        headers = {name: value for name, value in self.headers.items() if name not in self.server.ignored}
        reply = self.server.pool.urlopen(self.command, self.server.upstream + self.path, body=body, headers=headers)
        if fault == "drop":
            self.close_connection = True
        elif fault.endswith("after"):
            self._reply(int(fault.split()[0]), {}, b"")
        else:
            self._reply(reply.status, reply.headers, reply.data)

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def proxy(s3_environment: Mapping[str, str]) -> Iterator[FaultyProxy]:
    server = FaultyProxy(s3_environment["AWS_ENDPOINT_URL"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def through_proxy(proxy: FaultyProxy, s3_environment: Mapping[str, str]) -> Store:
    endpoint = f"http://127.0.0.1:{proxy.server_address[1]}"
    url = f"s3://models/proxied-{next(_prefixes)}"
    return S3Store.from_environment(url, {**s3_environment, "AWS_ENDPOINT_URL": endpoint}, sleep=lambda seconds: None)


@pytest.mark.parametrize("fault", ["drop", "503 after", "503 before", "409 before", "500 after"])
def test_a_write_whose_reply_is_lost_has_won(through_proxy: Store, proxy: FaultyProxy, fault: str) -> None:
    through_proxy.check_conditional_writes()
    proxy.faults = [fault, fault]
    assert through_proxy.put_if_absent("log/1", b"ours")
    assert not proxy.faults
    assert through_proxy.get("log/1") == b"ours"


@pytest.mark.parametrize("fault", ["drop", "503 after", "409 before"])
def test_a_lost_reply_does_not_turn_a_loss_into_a_win(through_proxy: Store, proxy: FaultyProxy, fault: str) -> None:
    through_proxy.put_if_absent("log/1", b"theirs")
    proxy.faults = [fault]
    assert not through_proxy.put_if_absent("log/1", b"ours")
    assert through_proxy.get("log/1") == b"theirs"


def test_every_other_request_is_repeated_too(through_proxy: Store, proxy: FaultyProxy) -> None:
    actions: list[Callable[[], object]] = [
        lambda: through_proxy.put("a", b"x"),
        lambda: through_proxy.get("a"),
        lambda: through_proxy.exists("a"),
        lambda: list(through_proxy.list()),
        lambda: through_proxy.delete("a"),
    ]
    for action in actions:
        proxy.faults = ["drop", "503 before", "drop"]
        action()
        assert not proxy.faults


def test_a_server_that_stays_down_is_an_error_with_its_name(through_proxy: Store, proxy: FaultyProxy) -> None:
    proxy.faults = ["503 before"] * 100
    with pytest.raises(AnamnesisError, match=r"proxied-\d+/a: the request failed 6 times, last with: .*503"):
        through_proxy.get("a")


def test_a_server_without_conditional_writes_is_refused(through_proxy: Store, proxy: FaultyProxy) -> None:
    proxy.ignored = {"If-None-Match"}
    with pytest.raises(RefusedError, match=r"ignores If-None-Match.*choose an S3 server"):
        through_proxy.put_if_absent("log/1", b"x")
    assert not through_proxy.exists("log/1")


def test_a_server_that_rejects_conditional_writes_is_refused(through_proxy: Store, proxy: FaultyProxy) -> None:
    proxy.faults = ["501 before"]
    with pytest.raises(RefusedError, match="does not support conditional writes"):
        through_proxy.check_conditional_writes()


def test_the_probe_is_made_once(through_proxy: Store, proxy: FaultyProxy) -> None:
    through_proxy.put_if_absent("a", b"")
    before = len(proxy.methods)
    through_proxy.put_if_absent("b", b"")
    assert len(proxy.methods) == before + 1


def test_a_listing_goes_on_after_a_page(s3_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAGE_SIZE", 2)
    for amount in range(6):
        store = open_store(f"s3://models/pages-{amount}", s3_environment)
        for i in range(amount):
            store.put(f"k{i}", b"")
        assert [info.key for info in store.list()] == [f"k{i}" for i in range(amount)]


def test_a_missing_bucket_and_wrong_credentials_say_so(s3_environment: Mapping[str, str]) -> None:
    with pytest.raises(InputError, match="bucket 'nobody' does not exist"):
        list(open_store("s3://nobody/x", s3_environment).list())
    with pytest.raises(InputError, match="bucket 'nobody' does not exist"):
        open_store("s3://nobody/x", s3_environment).put_if_absent("a", b"")
    wrong = open_store("s3://models/x", {**s3_environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    with pytest.raises(RefusedError, match="check the credentials"):
        wrong.get("a")
    with pytest.raises(RefusedError, match="check the credentials"):
        wrong.put("a", b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_ENDPOINT_URL", "localhost:9000")],
)
def test_the_environment_is_checked_before_any_request(name: str, value: str) -> None:
    good = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://localhost:1"}
    assert isinstance(open_store("s3://bucket/x", good), S3Store)
    with pytest.raises(InputError, match=name):
        open_store("s3://bucket/x", {**good, name: value})
    with pytest.raises(InputError, match="bucket"):
        open_store("s3://Not_A_Bucket!/x", good)


def test_a_bucket_is_reached_through_the_proxy_of_the_hospital(
    proxy: FaultyProxy, s3_environment: Mapping[str, str]
) -> None:
    proxy.upstream = ""  # a request to a proxy has the whole URL
    http_proxy = f"http://127.0.0.1:{proxy.server_address[1]}"
    url = f"s3://models/proxied-{next(_prefixes)}"
    proxied_store = S3Store.from_environment(url, {**s3_environment, "HTTP_PROXY": http_proxy})
    assert proxied_store.put_if_absent("a", b"1")
    assert proxied_store.get("a") == b"1"
    request_count = len(proxy.methods)
    assert request_count >= 2
    direct_store = S3Store.from_environment(
        url, {**s3_environment, "http_proxy": http_proxy, "NO_PROXY": "x,127.0.0.1"}
    )
    assert direct_store.get("a") == b"1"
    assert len(proxy.methods) == request_count


def test_a_missing_file_of_authorities_is_named() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        with pytest.raises(InputError, match=f"{name}: the file '/nowhere' does not exist"):
            S3Store.from_environment("s3://models", {**keys, name: "/nowhere"})
