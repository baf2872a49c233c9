"""One way to inspect and to load, whatever the format. Each reader is imported when a file needs it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from anamnesis.imaging.errors import ReadError, Reason
from anamnesis.imaging.formats import Format, is_image_file, sniff
from anamnesis.imaging.header import Header, Piece, RawImage
from anamnesis.records import Image, InputError


def inspect(path: Path) -> list[Header]:
    """Returns what a file says of each of its images, pixels unread.

    Raises:
        ReadError: the file cannot be used.
    """
    found = _format(path)
    if found is Format.DICOM:
        from anamnesis.imaging import dicom

        return [dicom.inspect(path)]
    if found is Format.NPZ:
        from anamnesis.imaging import npz

        return npz.inspect(path)
    return [Header()]


def load(piece: Piece) -> Image:
    """Returns the pixels of one image.

    Raises:
        ReadError: they cannot be read.
    """
    found = _format(piece.paths[0])
    if found is Format.NPZ:
        image = next(rows(piece.paths[0], piece.member, (piece.row,)))
        if isinstance(image, ReadError):
            raise image
        return image
    if found is Format.DICOM:
        from anamnesis.imaging import dicom

        return dicom.load(piece.paths)
    if found is Format.NIFTI:
        from anamnesis.imaging import nifti

        return nifti.load(piece.paths[0])
    from anamnesis.imaging import raster

    return raster.load(piece.paths[0])


def rows(path: Path, member: str, wanted: Iterable[int]) -> Iterator[Image | ReadError]:
    """Yields images out of an array of an NPZ; see ``anamnesis.imaging.npz.rows``."""
    from anamnesis.imaging import npz

    return npz.rows(path, member, wanted)


def read(path: Path) -> list[RawImage]:
    """Returns every image of a file, or of a folder whose DICOM series become volumes.

    Raises:
        InputError: there is no image, or one cannot be read; the message gives the reason and no name.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    try:
        headers = [(file, header) for file in files if is_image_file(file.name, file) for header in inspect(file)]
        groups: dict[object, list[tuple[Path, Header]]] = {}
        for place, (file, header) in enumerate(headers):
            groups.setdefault(header.series or place, []).append((file, header))
        found = [_raw(members) for members in groups.values()]
    except ReadError as error:
        raise InputError(f"the study cannot be read: {error.reason.value}") from error
    if not found:
        raise InputError(f"there is no image among {len(files)} files; expected DICOM, NIfTI, PNG, JPEG or NPZ")
    return found


def _raw(members: list[tuple[Path, Header]]) -> RawImage:
    header = members[0][1]
    return RawImage(header, load(Piece(tuple(file for file, _ in members), header.member, header.row)))


def _format(path: Path) -> Format:
    found = sniff(path)
    if found is None:
        raise ReadError(Reason.FORMAT if path.stat().st_size else Reason.EMPTY)
    return found
