"""Files of installed Python packages: ``package://<distribution>/<end of the file's path>``. Nothing is downloaded."""

from importlib.metadata import PackageNotFoundError, distribution

from anamnesis.records import InputError
from anamnesis.storage.store import MissingObjectError

SCHEME = "package://"


def read_package_file(url: str) -> bytes:
    """Returns the bytes of a file of an installed package, without importing the package.

    Raises:
        InputError: the URL has another form, or fits several files.
        MissingObjectError: the package is not installed, or has no such file.
    """
    name, _, path = url.removeprefix(SCHEME).partition("/")
    if not name or not path:
        raise InputError(f"{url}: expected {SCHEME}<package>/<file>; correct the URL")
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        raise MissingObjectError(
            f"{url}: the Python package {name} is not installed here; install it, or set the URL to a copy of the file"
        ) from None
    matching_files = [file for file in files if f"/{file.as_posix()}".endswith(f"/{path}")]
    if not matching_files:
        raise MissingObjectError(f"{url}: the Python package {name} has no file that ends with {path}; correct the URL")
    if len(matching_files) > 1:
        paths = ", ".join(sorted(file.as_posix() for file in matching_files)[:5])
        raise InputError(
            f"{url}: the Python package {name} has several files that end so: {paths}; give the whole path"
        )
    try:
        return matching_files[0].read_binary()
    except OSError as error:
        raise MissingObjectError(f"{url}: unreadable ({error}); install the Python package {name} again") from error
