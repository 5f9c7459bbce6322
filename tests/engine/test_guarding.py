"""Between two studies a run looks up: whether it was asked to stop, and whether its inputs are still there."""

from collections.abc import Generator
from pathlib import Path

import pytest

from audit.execution.workers import until_stopped
from audit.pipeline.load import LoadedStudy
from pipelines.errors import InputError
from pipelines.study import Exclusion, Report, Study


def loaded(name: str, *failed: Path) -> LoadedStudy:
    study = Study(study_instance_uid=name, report=Report(source="", text=""), report_joined_by="file name", cases=())
    left_out = tuple(Exclusion(source=str(path), stage="pixels", reason="broken", failed=True) for path in failed)
    return LoadedStudy(study=study, cases=(), left_out=left_out)


class Source:
    """Gives studies, and remembers how many were taken and whether it was closed."""

    def __init__(self, *studies: LoadedStudy) -> None:
        self.studies, self.taken, self.closed = studies, 0, False

    def __call__(self) -> Generator[LoadedStudy, None, None]:
        try:
            for study in self.studies:
                self.taken += 1
                yield study
        finally:
            self.closed = True


def names(studies) -> list[str]:
    return [study.study.study_instance_uid for study in studies]


def test_no_study_is_loaded_after_the_signal(tmp_path: Path) -> None:
    source, came = Source(loaded("1"), loaded("2"), loaded("3")), []
    given = until_stopped(source(), tmp_path, lambda: bool(came))
    assert next(given).study.study_instance_uid == "1"
    came.append("a signal")
    assert names(given) == []
    assert (source.taken, source.closed) == (1, True)


def test_a_study_that_fails_while_the_signal_comes_is_not_done_rather_than_failed(tmp_path: Path) -> None:
    answers = iter([False, True])  # it comes while the first study is being decoded
    source = Source(loaded("1", tmp_path / "film.dcm"), loaded("2"))
    assert names(until_stopped(source(), tmp_path, lambda: next(answers))) == []
    assert source.closed


@pytest.mark.parametrize("mounted", [False, True], ids=["gone", "empty"])
def test_a_folder_that_has_gone_ends_the_run(tmp_path: Path, mounted: bool) -> None:
    folder = tmp_path / "share"
    if mounted:
        folder.mkdir()
    source = Source(loaded("1", folder / "film.dcm"), loaded("2"))
    with pytest.raises(InputError, match="share is no longer there"):
        list(until_stopped(source(), folder, lambda: False))
    assert source.closed


def test_one_file_that_has_gone_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "other.dcm").write_bytes(b"still there")
    source = Source(loaded("1", tmp_path / "film.dcm"), loaded("2", tmp_path / "other.dcm"))
    assert names(until_stopped(source(), tmp_path, lambda: False)) == ["1", "2"]
