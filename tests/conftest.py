"""What a test needs of the machine: found by environment variables whose defaults look beside the checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from builders.api_server import ApiServer
from builders.orthanc_server import PLUGINS, OrthancServer
from builders.s3_server import S3Server
from fakes.memory_store import MemoryStore
from hypothesis import HealthCheck, settings

from anamnesis.storage import Store, open_store

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
BUCKET = "models"
API_SERVERS = {"api_server", "empty_cluster"}
_numbers = count()
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch: the workers of pytest already use every core
# A busy machine is not a fault of the code; and each run of the tests tries the same examples.
settings.register_profile(
    "few", max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("many", settings.get_profile("few"), max_examples=300)
settings.load_profile("few")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each file to one worker, and all files that need the same API server to the same one."""
    groups = {item.path: server for item in items for server in API_SERVERS & set(getattr(item, "fixturenames", ()))}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups.get(item.path, str(item.path.relative_to(ROOT)))))


def missing(reason: str) -> NoReturn:
    """Skips the test; where ``ANAMNESIS_NOTHING_MISSING`` is set, as in CI, fails it."""
    if os.environ.get("ANAMNESIS_NOTHING_MISSING"):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _shared_binaries() -> Path | None:
    """Folder of the binaries that ``testcluster.py`` unpacks, if it is beside the checkout."""
    tool = SHARED / "cluster" / "testcluster.py"
    if not tool.exists():
        return None
    out = subprocess.run([sys.executable, str(tool), "path"], capture_output=True, text=True, check=True)
    return Path(out.stdout.strip())


@pytest.fixture(scope="session", autouse=True)
def scratch_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The scratch folder of the tests and of the processes that they start; never that of the user."""
    folder = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANAMNESIS_SCRATCH", str(folder))
        yield folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real images: ``ANAMNESIS_DATA``, by default ``../shared/data``."""
    folder = Path(os.environ.get("ANAMNESIS_DATA", SHARED / "data"))
    if not folder.is_dir():
        missing(f"no real images: {folder} does not exist; set ANAMNESIS_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser: ``ANAMNESIS_CHROMIUM``, by default ``chromium`` in PATH."""
    path = os.environ.get("ANAMNESIS_CHROMIUM") or shutil.which("chromium")
    if not path:
        missing("no browser: install chromium or set ANAMNESIS_CHROMIUM")
    return path


@pytest.fixture(scope="session")
def api_server_binaries() -> Path:
    """Folder of an API server: ``KUBEBUILDER_ASSETS`` (envtest's convention), by default beside the checkout."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    folder = Path(assets) if assets else _shared_binaries()
    if not folder or not (folder / "kube-apiserver").exists():
        missing("no API server: set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl")
    return folder


@pytest.fixture(scope="session")
def api_server(api_server_binaries: Path) -> Iterator[ApiServer]:
    """A real API server for the whole session. A test takes a namespace of its own."""
    server = ApiServer(api_server_binaries, users={"rossi": [], "weber": [], "viewer": []})
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_server_binary() -> str:
    """An S3 server with conditional writes: ``ANAMNESIS_S3_SERVER``, by default the one beside the checkout."""
    path = os.environ.get("ANAMNESIS_S3_SERVER")
    if not path and (folder := _shared_binaries()):
        path = str(folder / "minio")
    if not path or not Path(path).exists():
        missing("no S3 server: set ANAMNESIS_S3_SERVER to the path of a minio binary")
    return path


@pytest.fixture(scope="session")
def s3_environment(s3_server_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment in which a fresh S3 server with the bucket ``models`` is found."""
    with S3Server(s3_server_binary, tmp_path_factory.mktemp("s3")) as server:
        yield server.environment


@pytest.fixture(scope="session")
def orthanc_server() -> Iterator[OrthancServer]:
    """A real DICOM server, ``ANAMNESIS_ORTHANC`` or ``Orthanc`` in PATH, with DICOMweb; it serves the whole session."""
    program = os.environ.get("ANAMNESIS_ORTHANC") or shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program or not (PLUGINS / "libOrthancDicomWeb.so").exists():
        missing("no DICOM server: install orthanc and orthanc-dicomweb, or set ANAMNESIS_ORTHANC")
    server = OrthancServer(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def orthanc(orthanc_server: OrthancServer) -> OrthancServer:
    """That server, running and empty."""
    if not orthanc_server.running:
        orthanc_server.start()
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def memory_store() -> type[MemoryStore]:
    return MemoryStore


@pytest.fixture
def folder_opener(tmp_path: Path) -> Callable[[], Store]:
    return lambda: open_store(str(tmp_path / "registry"))


@pytest.fixture(params=["folder", "s3"])
def opener(request: pytest.FixtureRequest) -> Callable[[], Store]:
    """Opens one fresh store, as often as it is called, in any process."""
    if request.param == "folder":
        open_folder: Callable[[], Store] = request.getfixturevalue("folder_opener")
        return open_folder
    environment, url = request.getfixturevalue("s3_environment"), f"s3://{BUCKET}/test-{next(_numbers)}"
    return lambda: open_store(url, environment)


@pytest.fixture
def store(opener: Callable[[], Store]) -> Store:
    return opener()


@pytest.fixture
def folder(folder_opener: Callable[[], Store]) -> Store:
    return folder_opener()
