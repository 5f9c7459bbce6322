"""Whatever lies in a study's folder, reading it takes little memory and ends in data or in one sentence."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_records import EFFUSION, HEART, chest_picture, make_study, png_of

from pipelines.errors import OutputError
from reports.reading import checksum
from reports.results_folder import read_record, read_run, read_study

KEY = "5b1f0c9e7a3d2460"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study as a run leaves it, with the checksums of its files."""
    return laid_down(tmp_path, with_checksums=True)


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """A study of version 0.1.0, whose record gives no checksums."""
    return laid_down(tmp_path, with_checksums=False)


def laid_down(out: Path, *, with_checksums: bool) -> Path:
    made = make_study(KEY, (EFFUSION, HEART))
    folder = out / "studies" / KEY
    folder.mkdir(parents=True)
    for name, picture in made.pictures.items():
        (folder / name).write_bytes(picture)
    np.savez_compressed(folder / "heat.npz", **{name: heat.astype(np.float16) for name, heat in made.heats.items()})
    files = {path.name: checksum(path.read_bytes()) for path in folder.iterdir()} if with_checksums else None
    (folder / "record.json").write_text(made.record.model_copy(update={"files": files}).model_dump_json())
    return folder


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "heat.npz") as stored:
        return {name: stored[name] for name in stored}


def member(header: dict[str, object], content: bytes) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + content


def packed(folder: Path, first: bytes) -> None:
    """Put ``first`` in the place of the first heat."""
    name, *others = arrays(folder)
    kept = {each: arrays(folder)[each] for each in others}
    with zipfile.ZipFile(folder / "heat.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", first)
        for each, heat in kept.items():
            buffer = io.BytesIO()
            np.save(buffer, heat)
            archive.writestr(f"{each}.npy", buffer.getvalue())


def with_first(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        heats = arrays(folder)
        name = next(iter(heats))
        np.savez_compressed(folder / "heat.npz", **{**heats, name: change(heats[name])})

    return spoil


def with_header(shape: tuple[int, ...], descr: str = "<f2", **more: object) -> Callable[[Path], None]:
    header = {"descr": descr, "fortran_order": False, "shape": shape, **more}
    return lambda folder: packed(folder, member(header, bytes(14 * 14 * 2)))


def bomb(folder: Path) -> None:
    """Inflates to 257 MiB, of which 14 x 14 cells would be read."""
    packed(folder, member({"descr": "<f2", "fortran_order": False, "shape": (14, 14)}, bytes(257 << 20)))


def cut(folder: Path) -> None:
    path = folder / "heat.npz"
    path.write_bytes(path.read_bytes()[:-40])


def flip(folder: Path) -> None:
    content = bytearray((folder / "heat.npz").read_bytes())
    content[len(content) // 3] ^= 4
    (folder / "heat.npz").write_bytes(bytes(content))


def pipe(folder: Path) -> None:
    (folder / "heat.npz").unlink()
    os.mkfifo(folder / "heat.npz")


def not_a_number(heat: np.ndarray) -> np.ndarray:
    return np.where(np.arange(heat.size).reshape(heat.shape) == 3, np.float16("nan"), heat)


SPOILT_HEAT = [
    pytest.param(cut, "is not stored heat", id="cut short"),
    pytest.param(flip, "is not stored heat", id="a bit flipped"),
    pytest.param(bomb, "would inflate to", id="a bomb"),
    pytest.param(pipe, "is not a regular file", id="a named pipe"),
    pytest.param(with_first(not_a_number), "holds another heat", id="not a number"),
    pytest.param(with_first(np.transpose), "is not stored heat", id="column order"),
    pytest.param(with_first(lambda heat: heat * np.float16(1.5)), "holds another heat", id="another heat"),
    pytest.param(with_first(lambda heat: heat.astype(np.int32)), "is not stored heat", id="integers"),
    pytest.param(with_first(lambda heat: heat[None]), "is not stored heat", id="three dimensions"),
    pytest.param(with_header((50_000, 50_000)), "is not stored heat", id="a large shape"),
    pytest.param(with_header((15, 14)), "is not stored heat", id="a shape of more than there is"),
    pytest.param(with_header((-1, 14)), "is not stored heat", id="a shape below nought"),
    pytest.param(with_header((14, 14), descr="|O"), "is not stored heat", id="objects"),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILT_HEAT)
def test_heat_of_an_older_version_is_held_against_what_the_record_says_of_it(old_folder, spoil, said) -> None:
    assert read_study(old_folder).record.key == KEY
    spoil(old_folder)
    with pytest.raises(OutputError, match=said):
        read_study(old_folder)


@pytest.mark.parametrize(("spoil", "said"), SPOILT_HEAT)
def test_heat_is_held_against_its_checksum_before_anything_is_inflated(folder, spoil, said) -> None:
    spoil(folder)
    with pytest.raises(OutputError, match=r"SHA-256 differs|is not a regular file"):
        read_study(folder)


def test_a_picture_is_held_against_its_checksum(folder) -> None:
    picture = next(folder.glob("*.png"))
    picture.write_bytes(png_of(chest_picture(256, 210, seed=9)))
    with pytest.raises(OutputError, match="SHA-256 differs"):
        read_study(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:3000]), "not a readable JPEG or PNG", id="cut"),
        pytest.param(lambda path: path.write_bytes(b"rubbish"), "neither JPEG nor PNG", id="rubbish"),
        pytest.param(
            lambda path: path.write_bytes(png_of(chest_picture(200, 256))), "is 256 x 200 px, its image", id="size"
        ),
    ],
)
def test_a_picture_of_an_older_version_is_decoded_and_measured(old_folder, spoil, said) -> None:
    spoil(next(old_folder.glob("*.png")))
    with pytest.raises(OutputError, match=said):
        read_study(old_folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[" * 100_000 + "]" * 100_000, "nested too deeply", id="deep lists"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply", id="deep objects"),
        pytest.param('{"schema_version": "1", "a": [' + "[]," * 1_200_000 + "[]]}", "1,000,000 values", id="wide"),
        pytest.param("{" + ",".join(f'"{i}": 1' for i in range(20_000)) + "}", "is not a record", id="many keys"),
        pytest.param('{"schema_version": "1", "seed": ' + "1" * 5000 + "}", "is not a record", id="a long number"),
        pytest.param('{"schema_version": "1", "images": [1, 2, 3]}', "is damaged at", id="other values"),
        pytest.param(" " * (33 << 20), "is larger than", id="large"),
    ],
)
def test_a_record_beyond_its_limits_is_one_sentence(folder, text, said) -> None:
    (folder / "record.json").write_text(text)
    with pytest.raises(OutputError, match=said) as refused:
        read_record(folder)
    assert "\n" not in str(refused.value)


def test_reading_a_record_ends_at_the_first_fault_of_a_list(folder) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["images"] = [{}] * 100_000
    (folder / "record.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match=r"is damaged at images\.0\."):
        read_record(folder)


def test_an_image_of_a_size_that_no_film_has_is_refused(folder) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["images"][0]["rows"] = 60_000
    record["images"][0]["columns"] = 60_000
    (folder / "record.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match="has an image of 60000 x 60000 px"):
        read_record(folder)


def test_a_damaged_run_json_is_made_by_the_same_run_again(tmp_path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(OutputError, match="repeat the same `m2ib-audit run`"):
        read_run(tmp_path)
