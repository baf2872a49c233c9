"""Buckets as hospitals have them, on a real server: retention, versions, a policy, a quota, another region."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import minio.api
import pytest
from builders.s3_server import PASSWORD, USER, S3Server
from minio.commonconfig import ENABLED
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin
from minio.objectlockconfig import COMPLIANCE, DAYS, ObjectLockConfig
from minio.versioningconfig import VersioningConfig

from anamnesis.records import AnamnesisError, EntryKind, InputError, RefusedError, UnreachableError, digest_bytes
from anamnesis.registry import Log, find_prunable, prune, verify_log, verify_objects
from anamnesis.registry.versions import blob_key
from anamnesis.storage import open_store
from anamnesis.storage.cached import CachedStore

REGION = "eu-west-1"
ORPHAN = digest_bytes(b"orphan")
READ_ONLY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}],
}
NO_DELETE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::*"],
        }
    ],
}


@pytest.fixture(scope="module")
def server(s3_server_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(s3_server_binary, tmp_path_factory.mktemp("buckets"), region=REGION) as server:
        client = server.client()
        client.make_bucket("locked", object_lock=True)
        client.set_object_lock_config("locked", ObjectLockConfig(COMPLIANCE, 1, DAYS))
        client.make_bucket("versioned")
        client.set_bucket_versioning("versioned", VersioningConfig(ENABLED))
        yield server


@pytest.fixture
def environment(server: S3Server) -> Mapping[str, str]:
    return {**server.environment, "AWS_REGION": REGION}


@pytest.fixture(scope="module")
def admin(server: S3Server) -> MinioAdmin:
    return MinioAdmin(endpoint=server.address, credentials=StaticProvider(USER, PASSWORD), region=REGION, secure=False)


@pytest.fixture(scope="module")
def limited_user(admin: MinioAdmin) -> dict[str, Mapping[str, str]]:
    """Policy -> the keys of a user with it."""
    keys = {}
    for name, policy in (("reader", READ_ONLY), ("writer", NO_DELETE)):
        admin.policy_add(name, policy=policy)
        admin.user_add(f"{name}-user", f"{name}-secret")
        admin.attach_policy([name], f"{name}-user")
        keys[name] = {"AWS_ACCESS_KEY_ID": f"{name}-user", "AWS_SECRET_ACCESS_KEY": f"{name}-secret"}
    return keys


@pytest.mark.parametrize("bucket", ["locked", "versioned"])
def test_a_registry_lives_in_a_bucket_that_keeps_every_version(bucket: str, environment: Mapping[str, str]) -> None:
    store = CachedStore(open_store(f"s3://{bucket}/registry", environment))
    store.check_conditional_writes()
    Log(store).append(EntryKind.APPROVE, ORPHAN, "dr", "ok")
    orphan = blob_key(ORPHAN)
    store.put(orphan, b"first")
    store.put(orphan, b"orphan")
    unneeded = find_prunable(store, clock=lambda: datetime.now(UTC) + timedelta(days=2))
    outcome = prune(store, unneeded, clock=lambda: datetime.now(UTC) + timedelta(days=2))
    assert [info.key for info in outcome.deleted] == [orphan]
    assert (outcome.kept_versions, outcome.refusals) == (1, ())
    assert not store.exists(orphan)
    assert store.put_if_absent(orphan, b"again"), "a deleted object can be written again"
    assert not verify_log(store)
    assert not verify_objects(store)


def test_a_bucket_without_versions_frees_the_storage(environment: Mapping[str, str]) -> None:
    store = open_store("s3://models/free", environment)
    store.put("a", b"1")
    assert store.delete("a")


def test_each_write_has_a_checksum_as_a_retention_needs(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("s3://models/checksum", environment)
    sent: list[Mapping[str, str]] = []
    urlopen = store._http.urlopen  # type: ignore[attr-defined]

    def record(method: str, url: str, **options: object) -> object:
        sent.append(options.get("headers") or {})  # type: ignore[arg-type]
        return urlopen(method, url, **options)

    monkeypatch.setattr(store._http, "urlopen", record)  # type: ignore[attr-defined]
    store.put("a", b"hello")
    store.put_if_absent("b", b"hello")
    checksums = [headers.get("Content-MD5") for headers in sent]
    assert checksums[0] == checksums[-1] == "XUFAKrxLKna5cZ2REBfFkg=="
    assert all(checksums)


def test_a_registry_without_the_right_to_delete_is_pruned_as_far_as_it_goes(
    environment: Mapping[str, str], limited_user: Mapping[str, Mapping[str, str]]
) -> None:
    store = open_store("s3://models/kept", {**environment, **limited_user["writer"]})
    store.put(blob_key(ORPHAN), b"orphan")
    later = datetime.now(UTC) + timedelta(days=2)
    outcome = prune(store, find_prunable(store, clock=lambda: later), clock=lambda: later)
    assert outcome.deleted == ()
    assert len(outcome.refusals) == 1
    assert "access denied (status 403 AccessDenied: Access Denied); check the credentials" in outcome.refusals[0]
    assert "s3:DeleteObject" in outcome.refusals[0]


def test_a_denied_write_tells_the_servers_words_and_the_rights(
    environment: Mapping[str, str], limited_user: Mapping[str, Mapping[str, str]]
) -> None:
    store = open_store("s3://models/denied", {**environment, **limited_user["reader"]})
    with pytest.raises(RefusedError, match=r"AccessDenied: Access Denied\); .*s3:PutObject"):
        store.put("a", b"1")
    assert list(store.list()) == []


def test_a_full_bucket_says_so(environment: Mapping[str, str], server: S3Server, admin: MinioAdmin) -> None:
    server.client().make_bucket("small")
    admin.bucket_quota_set("small", 1024)
    store = open_store("s3://small/x", environment)
    with pytest.raises(RefusedError, match=r"quota of the bucket is used up \(status 400 XMinio.*raise the quota"):
        store.put("a", b"x" * 4096)


@pytest.mark.parametrize(
    ("names", "signs"),
    [
        ({"AWS_REGION": REGION}, True),
        ({"AWS_DEFAULT_REGION": f"{REGION}\n"}, True),
        ({"AWS_REGION": REGION, "AWS_DEFAULT_REGION": "us-west-2"}, True),
        ({"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": REGION}, False),
        ({}, False),
    ],
)
def test_the_region_is_that_of_the_environment_and_a_wrong_one_is_named(
    server: S3Server, names: Mapping[str, str], signs: bool
) -> None:
    store = open_store("s3://models/regions", {**server.environment, **names})
    actions: tuple[Callable[[], object], ...] = (
        lambda: store.put("a", b"1"),
        lambda: store.get("a"),
        lambda: store.exists("a"),
        lambda: list(store.list()),
    )
    for act in actions:
        if signs:
            act()
            continue
        with pytest.raises(InputError, match=f"the bucket is in {REGION}; set AWS_REGION={REGION} beside"):
            act()


@pytest.mark.parametrize("minutes", [-90, 40])
def test_clocks_that_differ_are_not_told_as_wrong_credentials(
    environment: Mapping[str, str], minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("s3://models/clocks", environment)
    store.put("a", b"1")
    wall_clock, skew = time.time, timedelta(minutes=minutes)
    monkeypatch.setattr(minio.api.time, "utcnow", lambda: datetime.now(UTC) + skew)
    monkeypatch.setattr(time, "time", lambda: wall_clock() + skew.total_seconds())
    side = "ahead of" if minutes > 0 else "behind"
    for act in (lambda: store.put("a", b"2"), lambda: store.get("a"), lambda: list(store.list())):
        with pytest.raises(UnreachableError, match=f"clock of this machine is {abs(minutes)} minutes {side} the serv"):
            act()


def test_wrong_keys_are_told_apart(environment: Mapping[str, str]) -> None:
    unknown = open_store("s3://models/x", {**environment, "AWS_ACCESS_KEY_ID": "nobody"})
    with pytest.raises(RefusedError, match=r"does not know the access key .*InvalidAccessKeyId"):
        unknown.get("a")
    wrong = open_store("s3://models/x", {**environment, "AWS_SECRET_ACCESS_KEY": "wrong-secret"})
    with pytest.raises(AnamnesisError, match=r"secret key does not fit .*SignatureDoesNotMatch") as caught:
        wrong.put("a", b"")
    assert "wrong-secret" not in str(caught.value)
    assert "X-Amz" not in str(caught.value)
