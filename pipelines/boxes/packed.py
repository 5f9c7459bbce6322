"""Tables and annotation files as they are published: as they are, or packed by gzip or zip."""

from pathlib import Path

from pipelines.errors import BoxError, InputError
from pipelines.limits import MAX_ANNOTATION_BYTES
from pipelines.text.encoding import DecodedText, TextTooLargeError, decode
from pipelines.text.unpacking import read_unpacked

__all__ = ["read_packed_text"]


def read_packed_text(
    path: Path, *, at_most: int = MAX_ANNOTATION_BYTES, failure: type[InputError] = BoxError
) -> DecodedText:
    """Read a file's text, unpacked where its first bytes say that it is packed.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, holds more than ``at_most`` bytes
            or several files, or no text.
    """
    try:
        decoded = decode(read_unpacked(path, failure=failure, at_most=at_most))
    except TextTooLargeError as error:
        raise failure(f"{path} holds text that would take too much memory: split the file") from error
    except ValueError as error:
        raise failure(f"{path} starts with a byte order mark and is not encoded so: save it as UTF-8") from error
    if "\x00" in decoded.text:
        raise failure(f"{path} holds zero bytes, so it is no text file: give the table itself")
    return decoded
