"""Where the API server is, from a kubeconfig and in a pod."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from anamnesis.operator.runtime import api_access
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.records import InputError

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def write_kubeconfig(folder: Path, user: Mapping[str, Any], **cluster: Any) -> Path:
    document = {
        "current-context": "ward",
        "contexts": [{"name": "ward", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(document))
    return file


def test_a_token_and_the_authority_are_read(tmp_path: Path) -> None:
    authority = b64encode(PEM.encode()).decode()
    file = write_kubeconfig(tmp_path, {"token": "secret"}, **{"certificate-authority-data": authority})
    access = load_access({"KUBECONFIG": str(file)})
    assert (access.server, access.authority, access.read_authorization()) == (
        "https://api:6443",
        PEM,
        "Bearer secret",
    )
    assert "secret" not in repr(access)


def test_files_are_beside_the_kubeconfig_and_a_new_token_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "client.crt").write_text(PEM)
    (tmp_path / "client.key").write_text("KEY")
    user = {"tokenFile": "token", "client-certificate": "client.crt", "client-key": "client.key"}
    file = write_kubeconfig(tmp_path, user, **{"insecure-skip-tls-verify": True, "proxy-url": "http://proxy:3128"})
    access = load_access({}, str(file))
    assert (access.certificate, access.is_verified, access.proxy) == (f"{PEM}\nKEY", False, "http://proxy:3128")
    assert access.read_authorization() == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    assert access.read_authorization() == "Bearer first"
    monkeypatch.setattr(api_access, "_TOKEN_SECONDS", -1.0)
    assert access.read_authorization() == "Bearer second"


def test_the_official_client_runs_a_command_that_fetches_the_token(tmp_path: Path) -> None:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
    command = {"apiVersion": credential["apiVersion"], "command": "echo", "args": [json.dumps(credential)]}
    access = load_access({}, str(write_kubeconfig(tmp_path, {"exec": command})))
    assert (access.server, access.read_authorization()) == ("https://api:6443", "Bearer t")


def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_access, "_POD_FOLDER", tmp_path)
    (tmp_path / "ca.crt").write_text(PEM)
    (tmp_path / "token").write_text("pod-token")
    access = load_access({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    assert (access.server, access.read_authorization()) == ("https://[fd00::1]:443", "Bearer pod-token")


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("not a kubeconfig", "", "it is not a kubeconfig"),
        ("{}", "", "it has no context ''"),
        ("{contexts: [{name: a, context: {cluster: c}}]}", "b", "it has no context 'b'"),
        ("{contexts: [{name: a, context: {cluster: c}}]}", "a", "it has no cluster 'c'"),
        ("{", "", "expected"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_refused_with_what_it_lacks(
    tmp_path: Path, text: str, context: str, message: str
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"no access to an API server \({file}\): .*{message}.*set --kubeconfig"):
        load_access({}, str(file), context)


def test_the_proxy_of_the_environment_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert load_access({}, str(write_kubeconfig(tmp_path, {}, server="https://10.96.0.1"))).proxy == ""
