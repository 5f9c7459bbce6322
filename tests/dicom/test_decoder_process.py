"""A damaged file may bring down the decoder, not the audit."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from pipelines.dicom import decoder_process
from pipelines.dicom.decoder_process import Decoder, decode_apart
from pipelines.errors import DicomError

JPEG = "SC_rgb_jpeg_dcmtk.dcm"


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "decoder_process" in " ".join(child.cmdline())]


def test_a_frame_comes_back_as_pydicom_decodes_it():
    path = Path(get_testdata_file("RG1_J2KR.dcm"))
    assert np.array_equal(decode_apart(path), dcmread(path).pixel_array)


def test_one_child_serves_all_files():
    decode_apart(Path(get_testdata_file(JPEG)))
    [first] = children()
    decode_apart(Path(get_testdata_file(JPEG)))
    assert children() == [first]


def test_a_decoder_that_was_killed_costs_a_good_file_nothing():
    path = Path(get_testdata_file(JPEG))
    decode_apart(path)
    [child] = children()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert decode_apart(path).shape == (100, 100, 3)


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGABRT, "the file is damaged"), (signal.SIGKILL, "the decoder was killed twice")],
    ids=["by itself", "by the system"],
)
def test_a_decoder_that_dies_twice_of_a_file_is_reported(number, said):
    path = Path(get_testdata_file(JPEG))
    dying = Decoder([sys.executable, "-c", f"import os; os.kill(os.getpid(), {number:d})"])
    with pytest.raises(DicomError, match=said) as refused:
        decode_apart(path, decoder=dying)
    assert str(path) in str(refused.value)


def test_a_decoder_that_died_once_is_started_again(tmp_path):
    died = tmp_path / "died"
    dying_once = (
        "import os, pathlib, runpy, sys\n"
        f"if not pathlib.Path({str(died)!r}).exists():\n"
        f"    pathlib.Path({str(died)!r}).touch()\n"
        "    os.abort()\n"
        "runpy.run_module('pipelines.dicom.decoder_process', run_name='__main__')\n"
    )
    decoder = Decoder([sys.executable, "-P", "-c", dying_once])
    assert decode_apart(Path(get_testdata_file(JPEG)), decoder=decoder).shape == (100, 100, 3)
    assert died.exists()
    decoder.stop()


def test_ctrl_c_does_not_reach_the_decoder():
    decode_apart(Path(get_testdata_file(JPEG)))
    [child] = children()
    assert os.getpgid(child.pid) != os.getpgid(0)


def test_a_decoder_that_hangs_is_ended(monkeypatch):
    path = Path(get_testdata_file(JPEG))
    decode_apart(path)
    [child] = children()
    child.suspend()
    monkeypatch.setattr(decoder_process, "SECONDS_TO_DECODE", 0.2)
    with pytest.raises(DicomError, match="the decoder broke down"):
        decode_apart(path)
    assert children() == []


def test_a_refusal_of_the_decoder_is_told_and_the_child_lives_on(tmp_path):
    content = Path(get_testdata_file("RG1_J2KR.dcm")).read_bytes()
    stream = content.index(b"\xff\x4f\xff\x51") + 60
    path = tmp_path / "broken.dcm"
    path.write_bytes(content[:stream] + b"\x55" * (len(content) - stream - 8) + content[-8:])
    decode_apart(Path(get_testdata_file(JPEG)))
    before = children()
    with pytest.raises(DicomError, match="cannot be decoded"):
        decode_apart(path)
    assert children() == before


def test_a_forked_process_gets_a_child_of_its_own():
    """Two processes on one connection would read each other's frames."""
    path = Path(get_testdata_file(JPEG))
    expected = decode_apart(path)
    [mine] = children()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if np.array_equal(decode_apart(path), expected) and mine not in children() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert np.array_equal(decode_apart(path), expected)


def test_a_folder_of_the_same_name_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    decoder = Decoder()
    assert decode_apart(Path(get_testdata_file(JPEG)), decoder=decoder).shape == (100, 100, 3)
    decoder.stop()


@pytest.mark.parametrize(
    "name",
    [
        "JPEG-LL.dcm",
        "JPGLosslessP14SV1_1s_1f_8b.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
    ],
)
def test_every_compression_that_radiographs_come_in_has_a_decoder(name):
    frame = decode_apart(Path(get_testdata_file(name)))
    header = dcmread(get_testdata_file(name), stop_before_pixels=True)
    assert frame.shape[:2] == (header.Rows, header.Columns)
    assert frame.min() < frame.max()
