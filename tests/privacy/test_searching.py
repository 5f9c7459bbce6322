"""The search for planted words finds them in every container, encoding and escape, and leaks apart from coincidence."""

import base64
import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import LEGIBLE, legible_in, pictures_in
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from searching import files_in, found, more_than_in_control

HIDDEN = "Wiśniewiczová"  # in ISO 8859-2 too
LINES = f"a line with {HIDDEN} in it\n" * 3


def npz(folder: Path) -> None:
    np.savez_compressed(folder / "a.npz", words=np.array(["a", HIDDEN]))


def named_member(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr(f"{HIDDEN}.npy", b"1234")


def zip_comment(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.xlsx", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", LINES)
        archive.comment = b"x" * 9


def gzipped(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"ahead" + gzip.compress(LINES.encode()))


def zlib_behind_others(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"ahead" + zlib.compress(LINES.encode(), 6) + b"behind")


def raw_deflate(folder: Path) -> None:
    stream = zlib.compressobj(wbits=-15)
    (folder / "a.bin").write_bytes(stream.compress(LINES.encode()) + stream.flush())


def bzip2(folder: Path) -> None:
    (folder / "a.bin").write_bytes(bz2.compress(LINES.encode()))


def xz(folder: Path) -> None:
    (folder / "a.bin").write_bytes(lzma.compress(LINES.encode()))


def in_base64(folder: Path, data: bytes = LINES.encode(), ahead: str = "") -> None:
    (folder / "a.log").write_text(f"key={ahead}{base64.b64encode(data).decode()} done\n")


def short_base64_behind_letters(folder: Path) -> None:
    in_base64(folder, HIDDEN.encode(), "ab")


def url_safe_base64(folder: Path) -> None:
    word = base64.urlsafe_b64encode(b"\xfb\xef\xbe" + HIDDEN.encode()).decode().rstrip("=")
    assert "-" in word or "_" in word
    (folder / "a.txt").write_text(f"/key/{word}")


def base64_in_lines(folder: Path) -> None:
    (folder / "a.eml").write_bytes(base64.encodebytes(b"x" * 53 + LINES.encode()))


def compressed_in_base64_in_html(folder: Path) -> None:
    data = base64.b64encode(gzip.compress(LINES.encode())).decode()
    (folder / "a.html").write_text(f"<script>const table = '{data}'</script>")


def in_hex(folder: Path) -> None:
    (folder / "a.txt").write_text(f"value {HIDDEN.encode().hex()}")


def parquet_cells(folder: Path) -> None:
    pd.DataFrame({"a": [1, 2], "b": ["x", HIDDEN]}).to_parquet(folder / "a.parquet", compression="zstd")


def parquet_dictionary(folder: Path) -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), ["x", HIDDEN])
    pq.write_table(pa.table({"a": codes}), folder / "a.parquet", compression="snappy")


def parquet_metadata(folder: Path) -> None:
    table = pa.table({"a": pa.array([1])}).replace_schema_metadata({"who": zlib.compress(HIDDEN.encode())})
    pq.write_table(table, folder / "a.parquet", compression="gzip")


def parquet_statistics(folder: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([HIDDEN.encode("utf-16-le")], pa.binary())}), folder / "a.parquet")


def sqlite_log(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "whole.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("CREATE TABLE a (b TEXT)")
        database.execute("INSERT INTO a VALUES (?)", (HIDDEN,))
        database.commit()
        log = (folder / "whole.sqlite-wal").read_bytes()
    (folder / "whole.sqlite").unlink()
    (folder / "a.sqlite-wal").write_bytes(log)


def sqlite_free_page(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "a.sqlite")) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE a (b TEXT)")
        database.execute("INSERT INTO a VALUES (?)", ("x" * 6 + "".join(f"{HIDDEN}{i:04}" for i in range(400)),))
        database.commit()
        database.execute("DELETE FROM a")
        database.commit()
        assert database.execute("PRAGMA freelist_count").fetchone()[0] > 3


def text_over_two_pages(folder: Path) -> None:
    """A free page's text, the one place of it cut by the link at the head of the next page."""
    with closing(sqlite3.connect(folder / "a.sqlite")) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE a (b BLOB)")
        for ahead in range(480, 500):
            database.execute("INSERT INTO a VALUES (?)", (b"\xff" * ahead + HIDDEN.encode() + b"\xff" * 500,))
        database.commit()


def sqlite_utf16(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "a.sqlite")) as database:
        database.execute("PRAGMA encoding = 'UTF-16'")
        database.execute("CREATE TABLE a (b TEXT)")
        database.execute("INSERT INTO a VALUES (?)", (HIDDEN,))
        database.commit()


def png(folder: Path, **how: bool) -> None:
    info = PngInfo()
    info.add_itxt("who", HIDDEN * 9, zip=how.get("packed", False))
    Image.new("L", (4, 4)).save(folder / "a.png", pnginfo=info)


def png_packed(folder: Path) -> None:
    png(folder, packed=True)


def png_in_base64(folder: Path) -> None:
    png_packed(folder)
    data = base64.b64encode((folder / "a.png").read_bytes()).decode()
    (folder / "a.png").unlink()
    (folder / "a.json").write_text(json.dumps({"image": data}))


def jpeg_comment(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "a.jpg", comment=HIDDEN.encode("iso8859-2"))


def jpeg_exif(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x9C9D] = HIDDEN.encode("utf-16-le")  # XPAuthor
    Image.new("L", (4, 4)).save(folder / "a.jpg", exif=exif)


def dicom(folder: Path, *, deflated: bool = False) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SpecificCharacterSet = "ISO_IR 101"
    dataset.PatientName = HIDDEN
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)


def dicom_deflated(folder: Path) -> None:
    dicom(folder, deflated=True)


def escaped(content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.any").write_text(content, "utf-8")

    return write


def file_name(folder: Path) -> None:
    (folder / f"{HIDDEN}.txt").write_text("")


@pytest.mark.parametrize(
    "write",
    [
        *(npz, named_member, zip_comment, gzipped, zlib_behind_others, raw_deflate, bzip2, xz),
        *(in_base64, short_base64_behind_letters, url_safe_base64, base64_in_lines, compressed_in_base64_in_html),
        in_hex,
        *(parquet_cells, parquet_dictionary, parquet_metadata, parquet_statistics),
        *(sqlite_log, sqlite_free_page, text_over_two_pages, sqlite_utf16),
        *(png, png_packed, png_in_base64, jpeg_comment, jpeg_exif, dicom, dicom_deflated, file_name),
    ],
)
def test_a_word_is_found_in(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    assert {secret for secret, _ in found([HIDDEN, "Wiśniewiczovy"], files_in(tmp_path))} == {HIDDEN}


@pytest.mark.parametrize(
    "content",
    [
        *("WIŚNIEWICZOVÁ", "wiśniewiczová", "Wis\u0301niewiczova\u0301"),
        *("Wi&#347;niewiczov&aacute;", "Wi%C5%9Bniewiczov%C3%A1", "Wi\\u015bniewiczov\\u00e1"),
        *("Wi\\xc5\\x9bniewiczov\\xc3\\xa1", "Wi&amp;#347;niewiczov&amp;aacute;"),
    ],
)
def test_a_word_is_found_however_it_is_written(content: str, tmp_path: Path) -> None:
    escaped(content)(tmp_path)
    assert found([HIDDEN], files_in(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "iso8859-2"])
def test_a_word_is_found_in_other_encodings(encoding: str) -> None:
    assert found([HIDDEN], [("a", b"ahead" + HIDDEN.encode(encoding))]) == [(HIDDEN, "a")]
    assert found(["Smithson"], [("a", b"ahead" + "SMITHSON".encode("utf-16-le"))]) == [("Smithson", "a")]
    assert found(["慕容文博"], [("a", "慕容文博".encode("gb18030"))]) == [("慕容文博", "a")]


def test_a_place_names_what_the_word_is_packed_in(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, words=np.array([HIDDEN]))
    (tmp_path / "a.html").write_text(base64.b64encode(buffer.getvalue()).decode())
    places = [place for _, place in found([HIDDEN], files_in(tmp_path))]
    assert "a.html > base64 > zip words.npy > array" in places


CONTROL = {
    "scores.csv": "key,score,width,mean\nab1944cd,0.1944,1944,1944.5\n",
    "page.html": "<p>1944 px; Young lungs</p> rgb(19,44,0) 1.2.1944 2.25.19440314 19:44 <b>a-young</b>",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "leaked"),
    [
        pytest.param("page.html", "", "", [], id="the same output"),
        pytest.param("scores.csv", "0.1944", "0.1945,1944.25,x1944,1944e-3", [], id="other digits"),
        pytest.param("page.html", "</p>", ", born 1944.</p>", ["1944"], id="a year in a sentence"),
        pytest.param("page.html", "</p>", ", 1944-03-14</p>", ["1944"], id="a year in a date"),
        pytest.param("page.html", "lungs", "lungs of Mr. Young", ["Young"], id="a name that is a word"),
        pytest.param("page.html", "lungs", "lungs of YOUNG", ["Young"], id="in capitals"),
        pytest.param("scores.csv", "1944,", "1944,x 1944,", ["1944"], id="a column of texts"),
    ],
)
def test_a_year_that_leaks_is_told_from_its_digits(file: str, old: str, new: str, leaked: list[str]) -> None:
    output = CONTROL | {file: CONTROL[file].replace(old, new) if old else CONTROL[file]}

    def named(files: dict[str, str]) -> list[tuple[str, bytes]]:
        return [(name, text.encode()) for name, text in files.items()]

    found_more = more_than_in_control(["1944", "Young"], named(output), named(CONTROL))
    assert sorted({word for word, _ in found_more}) == leaked


def film_with_letters(*, blank: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A film of noise, and the pixels of the letters that were burned into it."""
    canvas = Image.new("L", (400, 480), 0)
    ImageDraw.Draw(canvas).text((8, 8), "THORNBURY GH12JK34-56", fill=255, font=ImageFont.load_default(size=20))
    ink = np.asarray(canvas) > 127
    film = np.random.default_rng(3).normal(90, 20, ink.shape)
    film[ink] = 90 if blank else 250
    return film, ink


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("coloured", [False, True])
def test_letters_in_a_picture_are_legible_and_blanked_ones_are_not(
    scale: float, coloured: bool, tmp_path: Path
) -> None:
    for blank in (False, True):
        film, ink = film_with_letters(blank=blank)
        film = film * 0.5 + np.linspace(0, 100, film.shape[1]) if coloured else film
        picture = Image.fromarray(film.clip(0, 255).astype(np.uint8))
        picture.resize((round(400 * scale), round(480 * scale)), Image.Resampling.BILINEAR).save(tmp_path / "a.jpg")
        data = base64.b64encode((tmp_path / "a.jpg").read_bytes()).decode()
        page = [("a.html", f"<img src='data:image/jpeg;base64,{data}'>".encode())]
        ((place, shown),) = pictures_in(page)
        assert place == "a.html > base64"
        assert (legible_in(shown, [ink]) > LEGIBLE) is not blank
