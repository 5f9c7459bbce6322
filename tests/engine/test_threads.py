"""The command says how many threads compute and how they wait, before numpy and torch are loaded; no import does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.execution.slurm import Command, share_of_cores
from audit.machine import allowed_cores, thread_settings

ROOT = Path(__file__).parents[2]
OF_THREADS = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "SLURM_")
WAITING = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"}


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in an environment that says nothing else about threads."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OF_THREADS)}
    environment |= {"PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


COMMAND = """
import sys
from audit.cli import main
sys.argv = ["m2ib-audit", "--version"]
try:
    main()
except SystemExit:
    pass
assert not {"numpy", "torch"} & sys.modules.keys()
import numpy, torch
from threadpoolctl import threadpool_info
print(*(each["num_threads"] for each in threadpool_info() if each["internal_api"] == "openblas"))
"""


def test_openmp_and_openblas_read_what_the_command_has_chosen() -> None:
    done = python(COMMAND, OMP_DISPLAY_ENV="verbose")
    version, threads = done.stdout.splitlines()
    assert version.startswith("m2ib-audit ")
    assert set(threads.split()) == {"1"}
    (spins,) = (line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line)
    assert "'1000'" in spins


WORKERS = """
import torch
from pathlib import Path
from pipelines.processes import preload
from test_workers import FakeFinisher, explained, finished_in_processes, lost
preload("test_workers")  # once, by the server
assert torch.get_num_threads() == 2
studies = (explained(name) for name in "123")
for study in finished_in_processes(studies, FakeFinisher(Path(FOLDER)), lost, workers=2):
    print(*study.rows[0]["threads"])
"""


def test_processes_that_finish_studies_compute_with_one_thread_each(tmp_path: Path) -> None:
    code = WORKERS.replace("FOLDER", repr(str(tmp_path)))
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    assert python(code, OMP_NUM_THREADS="2", PYTHONPATH=paths).stdout.splitlines() == ["1", "1", "1"]


def test_what_the_user_has_set_reaches_openmp_and_openblas() -> None:
    done = python(COMMAND, OMP_DISPLAY_ENV="verbose", GOMP_SPINCOUNT="77", OPENBLAS_NUM_THREADS="2")
    assert done.stdout.splitlines()[1] == str(min(2, os.cpu_count() or 1))
    (spins,) = (line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line)
    assert "'77'" in spins


def test_importing_the_packages_leaves_the_environment_alone() -> None:
    python(
        "import os; before = dict(os.environ)\n"
        "import audit.cli, audit.machine, audit.execution.run\n"
        "from audit import M2IB, load_encoder, read_image\n"
        "names = ('GOMP_SPINCOUNT', 'KMP_BLOCKTIME', 'OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS')\n"
        "assert all(os.environ.get(name) == before.get(name) for name in names)"
    )


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param({}, {*WAITING, "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}, id="nothing"),
        pytest.param({"OMP_WAIT_POLICY": "ACTIVE"}, {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}, id="policy"),
        pytest.param({"GOMP_SPINCOUNT": "5"}, {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}, id="spin count"),
        pytest.param({"KMP_BLOCKTIME": "5"}, {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}, id="block time"),
        pytest.param({"OMP_NUM_THREADS": "5"}, WAITING, id="threads of all"),
        pytest.param({"MKL_NUM_THREADS": "5"}, {*WAITING, "OPENBLAS_NUM_THREADS"}, id="threads of MKL"),
        pytest.param({"OPENBLAS_NUM_THREADS": "5"}, {*WAITING, "OMP_NUM_THREADS"}, id="threads of OpenBLAS"),
    ],
)
def test_what_is_set_is_left_alone(given: dict[str, str], names: set[str]) -> None:
    assert thread_settings(given, cores=8, allowed=2).keys() == names


def test_threads_are_counted_only_where_less_is_allowed_than_there_is() -> None:
    assert thread_settings({}, cores=8, allowed=2)["OMP_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in thread_settings({}, cores=8, allowed=8)


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("files", "environment", "cores"),
    [
        pytest.param({}, {}, 8, id="no limit"),
        pytest.param({"cpu.max": "200000 100000\n"}, {}, 2, id="container"),
        pytest.param({"cpu.max": "50000 100000\n"}, {}, 1, id="half a core"),
        pytest.param({"cpu.max": "1600000 100000\n"}, {}, 8, id="more than there are"),
        pytest.param({"cpu.max": "max 100000\n"}, {}, 8, id="container without limit"),
        pytest.param({"cpu/cpu.cfs_quota_us": "350000", "cpu/cpu.cfs_period_us": "100000"}, {}, 3, id="old container"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, {}, 8, id="old without limit"),
        pytest.param({}, {"SLURM_CPUS_PER_TASK": "4"}, 4, id="task of Slurm"),
        pytest.param({"cpu.max": "200000 100000"}, {"SLURM_CPUS_PER_TASK": "4"}, 2, id="both"),
    ],
)
def test_the_cores_of_a_container_or_task_are_its_share(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert allowed_cores(environment, cgroups=tmp_path) == cores


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(("shards", "threads"), [(1, 8), (3, 2), (8, 1), (20, 1)])
def test_shards_that_run_on_one_machine_at_once_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, shards: int, threads: int
) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert share_of_cores(shards) == threads


def test_a_shards_threads_are_those_that_the_user_has_set_or_its_share() -> None:
    assert Command(threads=2).environment({"PATH": "x"}) == {"PATH": "x", "OMP_NUM_THREADS": "2"}
    assert Command(threads=2).environment({"OMP_NUM_THREADS": "5"}) == {"OMP_NUM_THREADS": "5"}
    assert Command().environment({"PATH": "x"}) == {"PATH": "x"}
