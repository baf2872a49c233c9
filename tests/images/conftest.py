import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where the images' archives are; the node of ``KUBECONFIG`` has them too."""
    if not (path := os.environ.get("ANAMNESIS_IMAGES")):
        pytest.skip("ANAMNESIS_IMAGES is not set; `make image-test` sets it")
    return Path(path)
