"""Every command names what is to be corrected on its owner's terminal alone: a new command without a case fails here.

``test_terminal.py`` has the commands that read a whole cohort.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pandas as pd
import pytest
import typer
from calling import SALT, called
from made_up_cohort import make_cohort as make_records
from planting import IN_BOXES, IN_NAMES, TABLE_HEAD
from pydicom import dcmread
from searching import found
from test_terminal import SHOWN

from audit.cli import app
from audit.logbook import AuditLog
from audit.logbook.chain import DONE, result_checksums
from audit.pipeline.write import write_run, write_study
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.images.scan import scan_folder
from pipelines.phantom.cohort import make_cohort

Callback = Callable[..., object]
NAMES = [*IN_NAMES.values(), TABLE_HEAD, "Labelmanski"]
"""Of files, columns and labels; all other planted words are shown nowhere."""

OF_NO_COHORT = {
    "commission",
    "config",
    "demo",
    "doctor",
    "findings",
    "roar",
    "phantom make",
    "phantom train",
    "phantom train-lungs",
    "phantom train-letters",
    "phantom train-orientation",
    "phantom evaluate",
} | {
    "models list",
    "models fetch",
    "models check",
}
"""They take no file of a cohort: folders that they write to, and models, are named on the command line."""
WRITTEN_OR_MODELS = {"out", "folder", "model", "config", "findings"}  # the last is a vocabulary
PRINTS_NAMES = {"key"}
"""It is asked for the names that keys stand for, and prints them to stdout."""


def all_commands(group: typer.Typer = app, before: str = "") -> Iterator[tuple[str, Callback]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{before} {command.name or command.callback.__name__}".strip(), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        assert isinstance(inner.name, str)
        yield from all_commands(inner.typer_instance, inner.name)


def takes_path(hint: object) -> bool:
    return hint is Path or any(takes_path(part) for part in get_args(hint))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An OUT of two studies with a stranger's file in it, and the films of one, of which no result can be made."""
    folder = tmp_path_factory.mktemp("owner")
    make_cohort(folder, count=1, seed=5, columns=64, brief=True)
    (film,) = (folder / "dicom").glob("*.dcm")
    dataset = dcmread(film)
    dataset.NumberOfFrames = 2  # in a class that has one
    film = film.rename(film.with_stem(IN_NAMES["file"]))
    dataset.save_as(film)
    (image,) = scan_folder(folder / "dicom").images
    out, made = folder / "out", make_records(2)
    (out / "studies").mkdir(parents=True)
    log = AuditLog(out, SALT.encode())
    log.append("run started")
    keys = [Pseudonyms(SALT.encode()).key("image", image.instance), "0" * 16]
    for each, key in zip(made.studies, keys, strict=True):
        images = tuple(replace(shown, key=key) for shown in each.record.images[:1])
        record = each.record.model_copy(update={"images": images})
        checksum = write_study(out, record, salt=SALT.encode(), heats=each.heats, pictures=each.pictures)
        log.append(DONE, study=record.key, record_sha256=checksum)
    columns = ("study", "method", "score", "outcome", "reason")
    table = pd.DataFrame([(each.record.key, "m2ib", "", "", "") for each in made.studies], columns=columns)
    write_run(out, made.run, table, salt=SALT.encode())
    log.append("run finished", **result_checksums(out))
    (out / f"{IN_NAMES['orphan']}.pdf").write_text("a letter")
    answers = folder / "answers.json"
    answers.write_text(f'{{"entries": "{IN_BOXES["reader"]}"}}')
    archive = folder / "archive.toml"
    archive.write_text(f"[dicomweb]\naddress = {IN_BOXES['reader']}\n")
    archive.chmod(0o600)
    return SimpleNamespace(folder=folder, out=str(out), answers=str(answers), archive=str(archive))


def words_of(command: str, written: SimpleNamespace, cohort: Path) -> list[str]:
    out, folder = written.out, written.folder
    given = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
    more = {
        "sanity": [
            *(
                *given,
                "--boxes",
                str(cohort / "boxes.csv"),
                "--model",
                "phantom",
                "--device",
                "cpu",
                "--set",
                "inputs.index=none",
            ),
            *("--method", "grad_eclip", "--phrases", "1", "--tower", "text"),
        ],
        "push": [out, "--dicom-dir", str(folder / "dicom"), "--dry-run", "--index", "none"],
        "pull": ["--into", str(folder / "in"), "--from", "2026-01-01", "--pacs-config", written.archive],
        "plan": [out],
        "render": [out],
        "watch": [str(folder), "--out", str(folder / "trend")],
        "report": [out, "--pdf", str(folder / "board.pdf"), "--checklist", "claim2024"],
        "review serve": [str(folder / "dicom"), "--no-browser"],
        "review import": [out, written.answers],
        "review export": [out],
        "review boxes": [out, "--out", str(folder / "drawn.csv")],
        "log verify": [out, "--files"],
        "log show": [out],
        "key": [str(folder / "dicom")],
    }
    return [*command.split(), *more[command]]


CASES: dict[str, tuple[int, list[str]]] = {  # exit status, and the names that a terminal shows
    "sanity": (0, [IN_NAMES["orphan"], TABLE_HEAD, "Labelmanski"]),
    "push": (3, [IN_NAMES["file"]]),
    "pull": (1, []),
    "plan": (1, []),
    "render": (0, []),
    "watch": (1, []),
    "report": (0, []),
    "review serve": (1, []),
    "review import": (1, []),
    "review export": (1, []),
    "review boxes": (1, []),
    "log verify": (0, [IN_NAMES["orphan"]]),
    "log show": (0, []),
    "key": (0, []),
}


def test_every_command_has_a_case() -> None:
    assert {name for name, _ in all_commands()} == set(SHOWN) | OF_NO_COHORT | set(CASES)


@pytest.mark.parametrize("command", sorted(OF_NO_COHORT))
def test_a_command_of_no_cohort_takes_no_file_of_one(command: str) -> None:
    callback = dict(all_commands())[command]
    hints = get_type_hints(inspect.unwrap(callback), include_extras=False)
    assert {name for name, hint in hints.items() if takes_path(hint)} <= WRITTEN_OR_MODELS


@pytest.mark.parametrize("command", CASES)
def test_a_command_names_on_a_terminal_what_a_pipe_gets_by_key(
    command: str, written: SimpleNamespace, planted: tuple[Path, list[str]]
) -> None:
    status, names = CASES[command]
    words = words_of(command, written, planted[0])
    secrets = [secret for secret in planted[1] if command not in PRINTS_NAMES or secret not in IN_NAMES.values()]
    on_terminal, in_pipe = (called(*words, terminal=terminal) for terminal in (True, False))
    for ended, stdout, stderr in (on_terminal, in_pipe):
        assert ended == status, (stdout + stderr).decode()
        assert found([secret for secret in secrets if secret not in NAMES], [("stderr", stderr)]) == []
        assert found(secrets, [("stdout", stdout)]) == []
    assert {secret for secret, _ in found(NAMES, [("stderr", on_terminal[2])])} >= set(names)
    assert found(planted[1], [("stderr", in_pipe[2])]) == []
