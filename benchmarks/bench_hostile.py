"""What hostile DICOM files do: thousands of seeded mutations of real ones, each read or refused within its limits."""

import resource
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from benchmarks.machine import command_line, command_parser, write_section
from pipelines.dicom.headers import inspect_file
from pipelines.dicom.pixels import read_pixels
from pipelines.errors import DicomError
from pipelines.study import Exclusion

__all__ = ["MUTATIONS", "REPRODUCED", "Trial", "attack", "dicom_element", "file_head", "image_body", "mutated"]

SECONDS_A_FILE = 20.0  # of processor time, of this process and its decoder: how busy the machine is does not count
SECONDS_OF_A_HANG = 200.0  # on the clock: longer than the decoder is given
MEMORY = 3 * 2**30  # bytes that reading may add to this process; a decoder has a limit of its own

SOURCES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd.dcm",
    "image_dfl.dcm",
    "vlut_04.dcm",
    "examples_palette.dcm",
    "emri_small.dcm",
)

Bytes = Callable[[bytes, np.random.Generator], bytes]


def _flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(128, len(content), size=rng.integers(1, 40)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _flip_header_bits(content: bytes, rng: np.random.Generator) -> bytes:
    head = min(len(content), 4000)
    return _flip_bits(content[:head], rng) + content[head:]


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def _blank(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 2000))
    return content[:start] + bytes(length) + content[start + length :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    return content[:start] + content[start : start + length] * int(rng.integers(2, 20)) + content[start:]


def _wrong_length(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a large or undefined number where an element may keep its length."""
    place = int(rng.integers(132, min(len(content) - 4, 4000)))
    number = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 2, 2**32 - 1]))
    return content[:place] + struct.pack("<I", number) + content[place + 4 :]


def dicom_element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    """Write an element in explicit VR little endian."""
    length = struct.pack("<I", len(value)) if vr in {b"SQ", b"OB", b"OW", b"UN"} else struct.pack("<H", len(value))
    return struct.pack("<HH", group, element) + vr + (b"\0\0" if len(length) == 4 else b"") + length + value


def file_head(syntax: str, sop_class: bytes = b"1.2.840.10008.5.1.4.1.1.1\0") -> bytes:
    """Write preamble and file meta information."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = dicom_element(2, 0x0002, b"UI", sop_class) + dicom_element(2, 0x0003, b"UI", b"1.2.3.4\0")
    meta += dicom_element(2, 0x0010, b"UI", uid)
    return bytes(128) + b"DICM" + dicom_element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta


def image_body(rows: int, columns: int, pixels: bytes) -> bytes:
    """Write the data set of a CR image with 12 of 16 bits."""
    return b"".join(
        (
            dicom_element(8, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0"),
            dicom_element(8, 0x0018, b"UI", b"1.2.3.4\0"),
            dicom_element(8, 0x0060, b"CS", b"CR"),
            dicom_element(0x20, 0x000D, b"UI", b"1.2.3\0"),
            dicom_element(0x28, 0x0002, b"US", struct.pack("<H", 1)),
            dicom_element(0x28, 0x0004, b"CS", b"MONOCHROME2 "),
            dicom_element(0x28, 0x0008, b"IS", b"1 "),
            dicom_element(0x28, 0x0010, b"US", struct.pack("<H", rows)),
            dicom_element(0x28, 0x0011, b"US", struct.pack("<H", columns)),
            dicom_element(0x28, 0x0100, b"US", struct.pack("<H", 16)),
            dicom_element(0x28, 0x0101, b"US", struct.pack("<H", 12)),
            dicom_element(0x28, 0x0102, b"US", struct.pack("<H", 11)),
            dicom_element(0x28, 0x0103, b"US", struct.pack("<H", 0)),
            dicom_element(0x7FE0, 0x0010, b"OW", pixels),
        )
    )


def _huge(_content: bytes, rng: np.random.Generator) -> bytes:
    rows, columns = (int(rng.choice([0, 1, 8, 40000, 65535])) for _ in range(2))
    return file_head(ExplicitVRLittleEndian) + image_body(rows, columns, bytes(2 * 64))


def _deflated(pieces: Iterable[bytes]) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join(squeezer.compress(piece) for piece in pieces) + squeezer.flush()


def _zeros_of_private_element(mebibytes: int) -> Iterator[bytes]:
    yield image_body(8, 8, b"")[:-12] + dicom_element(0x0029, 0x1010, b"OB", b"")[:8] + struct.pack("<I", 2**32 - 2)
    yield from (bytes(2**20) for _ in range(mebibytes))


def _deflate_bomb(_content: bytes, rng: np.random.Generator) -> bytes:
    mebibytes = int(rng.integers(200, 1200))
    return file_head(DeflatedExplicitVRLittleEndian) + _deflated(_zeros_of_private_element(mebibytes))


def _bomb_with_late_transfer_syntax() -> bytes:
    """Give a bomb whose TransferSyntaxUID stands after byte 1,024."""
    head = file_head(DeflatedExplicitVRLittleEndian)
    at = head.index(b"\x02\x00\x10\x00UI")
    private = dicom_element(2, 0x0009, b"OB", bytes(2000))
    length = struct.pack("<I", len(head) - 144 + len(private))
    return head[:140] + length + head[144:at] + private + head[at:] + _deflated(_zeros_of_private_element(1100))


def _bomb_with_false_group_length() -> bytes:
    """Give a bomb behind a File Meta Information Group Length that points past it, at a harmless data set."""
    head, bomb = file_head(DeflatedExplicitVRLittleEndian), _deflated(_zeros_of_private_element(1100))
    return head[:140] + struct.pack("<I", len(head) - 144 + len(bomb)) + head[144:] + bomb + _deflated([b"x"])


def _deflated_flood() -> bytes:
    """Give 480 MiB of empty elements in 0.7 MiB."""
    mebibyte = dicom_element(0x0009, 0x1001, b"LO", b"") * 2**17
    return file_head(DeflatedExplicitVRLittleEndian) + _deflated([image_body(8, 8, b"")[:60], *[mebibyte] * 480])


def _many_tags() -> bytes:
    """Give 7.9 million different empty elements: 60 MiB."""
    elements = np.zeros(2**16, dtype=[("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    elements["element"], elements["vr"] = np.arange(2**16), b"LO"
    pieces = []
    for group in range(0x0009, 0x0009 + 2 * 120, 2):
        elements["group"] = group
        pieces.append(elements.tobytes())
    return file_head(ExplicitVRLittleEndian) + b"".join(pieces)


REPRODUCED: dict[str, Callable[[], bytes]] = {  # files that once took minutes, or gigabytes in the scanning process
    "bomb, late transfer syntax": _bomb_with_late_transfer_syntax,
    "bomb, false group length": _bomb_with_false_group_length,
    "deflated flood": _deflated_flood,
    "millions of tags": _many_tags,
}


def _nested(_content: bytes, rng: np.random.Generator) -> bytes:
    depth = int(rng.integers(50, 5000))
    opened = (
        struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + b"\xff" * 4 + struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    )
    return file_head(ExplicitVRLittleEndian) + image_body(8, 8, bytes(128))[:60] + opened * depth


def _flood(_content: bytes, rng: np.random.Generator) -> bytes:
    """Give very many empty elements, of one tag or in order."""
    count = int(rng.integers(10_000, 300_000))
    return file_head(ExplicitVRLittleEndian) + dicom_element(0x0009, 0x1001, b"LO", b"") * count


MUTATIONS: dict[str, tuple[Bytes, float]] = {  # how, and how often
    "bits flipped": (_flip_bits, 0.25),
    "header bits flipped": (_flip_header_bits, 0.25),
    "cut short": (_cut, 0.15),
    "blanked": (_blank, 0.1),
    "repeated": (_repeat, 0.08),
    "wrong length": (_wrong_length, 0.12),
    "huge rows or columns": (_huge, 0.03),
    "deflate bomb": (_deflate_bomb, 0.002),
    "deeply nested": (_nested, 0.013),
    "flood of elements": (_flood, 0.005),
}


@dataclass(slots=True)
class Trial:
    """What became of the files."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # mutation and outcome
    broken: list[str] = field(default_factory=list)  # an exception that is no DicomError
    slowest: float = 0.0  # seconds of processor time
    slow: list[str] = field(default_factory=list)
    grown: int = 0  # bytes of resident memory, at most


def mutated(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Give so many mutations; the same seed gives the same files."""
    sources = [Path(str(get_testdata_file(name))).read_bytes() for name in SOURCES]
    names, weights = list(MUTATIONS), np.array([weight for _, weight in MUTATIONS.values()])
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = str(rng.choice(names, p=weights / weights.sum()))
        yield name, MUTATIONS[name][0](sources[int(rng.integers(len(sources)))], rng)


def attack(files: Iterator[tuple[str, bytes]], folder: Path) -> Trial:
    """Read each file's header and pixels, as a run does."""
    trial, process, path = Trial(), psutil.Process(), folder / "hostile.dcm"
    before = process.memory_info().rss
    for number, (name, content) in enumerate(files):
        path.write_bytes(content)
        start, used_before = time.perf_counter(), _processor_seconds(process)
        try:
            outcome = _read(path)
        except Exception as error:  # noqa: BLE001 what is sought
            trial.broken.append(f"{number} ({name}): {type(error).__name__}: {error}")
            outcome = "BROKEN"
        seconds, used = time.perf_counter() - start, _processor_seconds(process) - used_before
        trial.outcomes[name, outcome] += 1
        trial.slowest = max(trial.slowest, used)
        if used > SECONDS_A_FILE or seconds > SECONDS_OF_A_HANG:
            trial.slow.append(f"{number} ({name}): {used:.1f} s of processor time, {seconds:.1f} s on the clock")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        trial.grown = max(trial.grown, peak - before)
    return trial


def _processor_seconds(process: psutil.Process) -> float:
    """What a process has used, and its children: those that live, and those that have ended."""
    own = process.cpu_times()
    living = [child.cpu_times() for child in process.children()]
    ended = own.children_user + own.children_system
    return float(own.user + own.system + ended + sum(child.user + child.system for child in living))


def _read(path: Path) -> str:
    found = inspect_file(path)
    try:
        read_pixels(path)
    except DicomError:
        return "pixels refused" if not isinstance(found, Exclusion) else "refused"
    return "left out, pixels readable" if isinstance(found, Exclusion) else "read"


def _line_of(name: str, trial: Trial) -> str:
    outcome = next(outcome for _, outcome in trial.outcomes)
    return f"- {name}: {outcome} in {trial.slowest:.1f} s of processor time"


def main() -> None:
    """Attack and write the section."""
    parser = command_parser(__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trial = attack(mutated(given.seed, given.files), Path(folder))
        reproduced = {name: attack(iter([(name, make())]), Path(folder)) for name, make in REPRODUCED.items()}
    outcomes = sorted({outcome for _, outcome in trial.outcomes})
    found = (
        f"{given.files:,} files in {time.perf_counter() - start:.0f} s: {len(trial.broken)} broke the reader, "
        f"{len(trial.slow)} took more than {SECONDS_A_FILE:g} s of processor time (most: {trial.slowest:.1f} s), "
        f"memory grew by at most {trial.grown / 2**20:.0f} MiB of the {MEMORY / 2**20:,.0f} MiB that are allowed."
    )
    rows = (
        f"| {name} | {' | '.join(str(trial.outcomes[name, outcome]) for outcome in outcomes)} |" for name in MUTATIONS
    )
    lines = [
        found,
        "",
        f"| mutation | {' | '.join(outcomes)} |",
        f"|---|{'---|' * len(outcomes)}",
        *rows,
        "",
        "Files that once took minutes, or gigabytes in the scanning process:",
        "",
        *(_line_of(name, trial) for name, trial in reproduced.items()),
        *(f"- {line}" for line in (*trial.broken, *trial.slow)),
    ]
    print("\n".join(lines))
    if not given.no_write:
        write_section("bench_hostile", command=command_line("bench_hostile"), lines=lines)


if __name__ == "__main__":
    main()
