"""Runs handed to Slurm: what each job is told, what the scheduler is asked for, and a whole run by submitit here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.execution.slurm import Command
from pipelines.errors import AuditError
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import read_run, study_folders

HERE = ["--set", "execution.engine=local"]
INPUTS = ["--dicom-dir", "films", "--reports", "reports"]
SBATCH = """#!/bin/bash
number=$(($(cat {folder}/number 2>/dev/null || echo 40) + 1))
echo $number > {folder}/number
cp "$1" {folder}/script-$number
echo "Submitted batch job $number"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An sbatch that keeps the scripts it is given, as script-41 and so on."""
    for name, text in {"sbatch": SBATCH.format(folder=tmp_path), "srun": "#!/bin/bash\n"}.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["m2ib-audit", "run", *words])
        return CliRunner().invoke(app, ["run", *words])


def messages_of(job: str, folder: Path) -> list[str]:
    """The words that a submitted job will run."""
    submission = DelayedSubmission.load(next(folder.glob(f"{job}/{job}_submitted.pkl")))
    (words,) = submission.args
    return list(words)


def flags_of(script: Path) -> dict[str, str]:
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=(.+)$", script.read_text(), re.MULTILINE))


def test_every_shard_is_told_every_flag_that_was_given_and_its_own_part(slurm: Path) -> None:
    flags = [*INPUTS, "--boxes", "a.csv", "--boxes", "b c.csv", "--no-words", "--seed", "0", "--fit", "own"]
    place = ["--set", "execution.engine=slurm", "--set=execution.slurm.shards=3"]
    told = invoke(*flags, *place, "--out", "out", "--show-phi", "--set", "m2ib.beta=0.5")
    assert told.exit_code == 0, told.output
    closing = messages_of("42", slurm / "out-slurm")
    assert closing == ["run", *flags, "--out", "out", "--show-phi", "--set", "m2ib.beta=0.5", *HERE]
    for number in (1, 2, 3):
        assert messages_of(f"41_{number - 1}", slurm / "out-slurm") == [
            *closing,
            "--set",
            f"execution.shard={number}/3",
        ]
    assert "squeue --jobs 41,42" in told.stderr


def test_the_scheduler_is_asked_for_what_the_file_says(slurm: Path) -> None:
    (slurm / "audit.toml").write_text(
        '[execution]\nengine = "slurm"\n[execution.slurm]\n'
        'shards = 20\nat_once = 4\nminutes = 90\nmem_gb = 24\ncpus = 6\ngpus = 1\npartition = "gpu"\naccount = "xray"\n'
        'qos = "low"\nconstraint = "a100"\nsetup = ["module load cuda"]\nclosing_minutes = 30\nclosing_mem_gb = 100\n'
    )
    assert invoke(*INPUTS, "--out", "out", "--config", "audit.toml").exit_code == 0
    shards, closing = flags_of(slurm / "script-41"), flags_of(slurm / "script-42")
    asked = {
        "array": "0-19%4",
        "time": "90",
        "mem": "24GB",
        "cpus-per-task": "6",
        "gpus-per-node": "1",
        "partition": "gpu",
        "account": "xray",
        "qos": "low",
        "constraint": "a100",
    }
    assert asked.items() <= shards.items()
    assert "\nmodule load cuda\n" in (slurm / "script-41").read_text()
    assert {"time": "30", "mem": "100GB", "dependency": "afterany:41"}.items() <= closing.items()
    assert "array" not in closing
    assert "dependency" not in shards


def test_no_secret_stands_in_a_job_file_and_only_their_owner_reads_them(slurm: Path, salt: str) -> None:
    assert invoke(*INPUTS, "--out", "out", "--set", "execution.engine=slurm").exit_code == 0
    folder = slurm / "out-slurm"
    assert folder.stat().st_mode & 0o077 == 0
    files = [path for path in (*folder.rglob("*"), *slurm.glob("script-*")) if path.is_file()]
    assert len(files) > 9
    assert [path for path in files if salt.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shard = 3", "execution.slurm.shard: unknown key; did you mean execution.shard?"),
        ("shards = 0", "execution.slurm.shards: input should be greater than or equal to 1"),
        ("shards =", "is not valid TOML"),
        ('cluster = "cloud"', "execution.slurm.cluster: input should be 'slurm' or 'local'"),
    ],
)
def test_a_wrong_option_is_named_with_its_file(slurm: Path, text: str, told: str) -> None:
    (slurm / "audit.toml").write_text(f"[execution.slurm]\n{text}\n")
    result = invoke(*INPUTS, "--out", "out", "--config", "audit.toml")
    assert result.exit_code == 1
    assert result.stderr.startswith("m2ib-audit: --config audit.toml")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("flag", ["--overwrite", "--set=execution.shard=1/2", "--dry-run"])
def test_what_would_undo_another_shards_work_is_refused(slurm: Path, flag: str) -> None:
    told = invoke(*INPUTS, "--out", "out", "--set", "execution.engine=slurm", flag)
    assert told.exit_code == 1
    assert f"cannot be combined with {flag.removeprefix('--set=').partition('=')[0]}" in told.stderr
    assert not (slurm / "script-41").exists()


def test_a_scheduler_that_refuses_is_told_in_one_line(slurm: Path) -> None:
    (slurm / "bin" / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    told = invoke(*INPUTS, "--out", "out", "--set", "execution.engine=slurm")
    assert told.exit_code == 1
    assert "m2ib-audit: execution.engine slurm: " in told.stderr
    assert "invalid partition" in told.stderr


def test_a_missing_submitit_is_told_with_its_mend(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.execution.slurm.find_spec", lambda _name: None)
    told = invoke(*INPUTS, "--out", "out", "--set", "execution.engine=slurm")
    assert told.exit_code == 1
    assert "pip install 'm2ib-audit[slurm]'" in told.stderr


def test_a_shard_whose_time_is_up_is_put_into_the_queue_with_the_same_words() -> None:
    again = Command().checkpoint(["run", "--set", "execution.shard=1/2"])
    assert isinstance(again.function, Command)
    assert again.args == (["run", "--set", "execution.shard=1/2"],)


def test_a_command_that_could_not_run_fails_its_job() -> None:
    with pytest.raises(AuditError, match="status 2"):
        Command()(["run", "--no-such-flag"])


@pytest.mark.slow
def test_shards_by_submitit_here_leave_what_one_run_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cohort(tmp_path / "cohort", count=6, seed=3, columns=160)
    flags = ["--dicom-dir", "cohort/dicom", "--reports", "cohort/reports", "--boxes", "cohort/boxes.csv"]
    flags += [
        "--model",
        "phantom",
        "--device",
        "cpu",
        "--set",
        "all.steps=2",
        "--set",
        "all.samples=2",
        "--controls",
        "4",
    ]
    assert invoke(*flags, "--out", "whole").exit_code == 0
    (tmp_path / "audit.toml").write_text(
        '[execution]\nengine = "slurm"\n[execution.slurm]\ncluster = "local"\nshards = 2\n'
    )
    words = ["run", *flags, "--out", "parts", "--config", "audit.toml"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(  # a process of its own, since submitit leaves those of its jobs to the garbage collector
        [sys.executable, "-m", "audit.cli", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    counts, verdict, _, _, _, page = told.stdout.splitlines()[-6:]
    assert (counts.split(",")[0], verdict.split(":")[0]) == ("6 studies audited", "Verdict on m2ib")
    assert page == "parts/index.html"
    whole, parts = read_run(tmp_path / "whole"), read_run(tmp_path / "parts")
    assert parts.counts == whole.counts
    assert parts.summaries == whole.summaries
    assert len(study_folders(tmp_path / "parts")) == 6
    table = (tmp_path / "whole" / "scores.csv").read_text()
    assert (tmp_path / "parts" / "scores.csv").read_text() == table
