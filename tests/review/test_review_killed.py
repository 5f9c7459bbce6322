"""A server that is killed at any moment has on its disk whatever it said it had kept."""

import os
import random
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest
from made_up_review import Client, entry_of, three_studies

from audit.review.ledger import LEDGER_NAME, Ledger

STUDIES = three_studies()
CLIENTS = 3
KILLS = int(os.environ.get("M2IB_AUDIT_TEST_KILLS", "20"))


def post_until_it_ends(client: Client, reviewer: str, first: int, acknowledged: list[str]) -> None:
    """Change one's mind as fast as the server answers; note what it said to have kept."""
    before, number = None, first
    while True:
        number += 1
        comment = "x" * (number % 900)
        entry = entry_of(STUDIES[1], number, reviewer=reviewer, replaces=before, comment=comment)
        try:
            answer = client.post(entry)
        except (OSError, HTTPException):  # killed
            return
        assert answer.status == 200
        before = entry["id"]
        acknowledged.append(before)


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, KILLS + 1))])
def test_every_acknowledged_verdict_is_there_after_a_kill(start_server, out: Path, seed):
    reviewers = tuple(f"R{number}" for number in range(CLIENTS))
    server = start_server(out, reviewers=reviewers)
    said: dict[str, list[str]] = {name: [] for name in reviewers}
    threads = [
        threading.Thread(
            target=post_until_it_ends, args=(server.client(name), name, 1_000_000 * (place + 1), said[name])
        )
        for place, name in enumerate(reviewers)
    ]
    for thread in threads:
        thread.start()
    while not all(said.values()) and server.process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0.0, 0.6))
    server.process.kill()
    assert server.process.wait() == -9
    for thread in threads:
        thread.join()
    kept = Ledger(out / LEDGER_NAME).entries()
    for name in reviewers:
        assert len(said[name]) > 0
        mine = [each.entry.id for each in kept if each.entry.reviewer == name]
        # The very last may be on the disk without its answer having come through.
        assert mine[: len(said[name])] == said[name]
        assert len(mine) <= len(said[name]) + 1
        latest = [each.entry.id for each in kept if each.entry.reviewer == name and each.is_latest]
        assert latest == mine[-1:]


def test_after_a_kill_the_next_server_goes_on(start_server, out: Path):
    first = start_server(out)
    kept = first.client().post(entry_of(STUDIES[1], 1)).json["entry"]
    first.process.kill()
    first.process.wait()
    second = start_server(out).client()
    assert second.ask(f"/api/studies/{STUDIES[1].record.key}").json["entries"] == [kept]
    assert second.post(entry_of(STUDIES[1], 2, replaces=kept["id"])).status == 200
