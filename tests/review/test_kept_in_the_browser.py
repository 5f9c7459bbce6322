"""Pages from disk lose no entry: on leaving, with several pages open, in a full browser, from an earlier version."""

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest
from browser_store import begin_with_local_storage, entries_kept, keep_nothing, kept_in_browser
from made_up_review import MadeUp, entry_of, ready, three_studies
from playwright.sync_api import Dialog, Page, expect

from audit.review.importing import import_entries
from audit.review.ledger import LEDGER_NAME, Ledger

ONE, TWO, FOUR = three_studies()
STATE = ".reading:not(.behind) .review-state"
NAME, HIDES = "m2ib-audit review name", "m2ib-audit-hides-scores"  # keys of version 0.1.0 in localStorage
UNKEPT = "Your browser does not store answers for this page: save them as a file before you leave"


def kept(page: Page) -> None:
    expect(page.locator(STATE)).to_have_text("Kept in this browser")


def said(page: Page) -> str:
    """The verdict that the dock shows for the chosen phrase."""
    return page.locator(".reading:not(.behind) .review-verdict input:checked").get_attribute("value")


def press_at_once(page: Page, keys: str) -> None:
    """Press keys within one task, so that no write ends between them."""
    page.evaluate(
        "keys => [...keys].forEach(key => document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{ key, bubbles: true, cancelable: true })))",
        keys,
    )


def save(page: Page, path: Path) -> list[dict]:
    with page.expect_download() as download:
        page.locator(".reading:not(.behind) .review").get_by_role("button", name="Save as file").click()
    download.value.save_as(path)
    return json.loads(path.read_text())["entries"]


def local_storage_of(folder: str, *entries: dict, made: MadeUp = TWO) -> dict[str, str]:
    """What version 0.1.0 keeps of one study's entries."""
    key = f"m2ib-audit review {made.record.key} {made.record.created.isoformat()}"
    return {key: json.dumps({"folder": folder, "entries": entries})}


def folder_of(out: Path) -> str:
    return f"{(out / 'studies').as_uri().removeprefix('file://')}/"


def test_an_answer_is_kept_though_the_clock_was_set_back(open_file, out, own_browser_name, tmp_path) -> None:
    page = open_file(out, TWO.record.key, own_browser_name)
    page.keyboard.press("r")
    for verdict, hour in (("1", 10), ("3", 9), ("2", 8)):
        page.clock.set_fixed_time(f"2026-03-05T{hour:02}:00:00Z")
        page.keyboard.press(verdict)
        kept(page)
    page.reload()
    ready(page)
    assert said(page) == "partly"
    entries = save(page, tmp_path / "saved.json")
    assert [entry["verdict"] for entry in entries] == ["agree", "disagree", "partly"]
    assert {entry["moment"] for entry in entries} == {"2026-03-05T10:00:00.000Z"}
    import_entries(out, [tmp_path / "saved.json"], now=datetime.now(UTC))
    with closing(Ledger(out / LEDGER_NAME)) as ledger:
        assert [entry.verdict for entry in ledger.latest()] == ["partly"]


def test_of_answers_of_an_earlier_version_none_is_shown_that_another_replaces(open_file, out, own_browser_name) -> None:
    first = entry_of(TWO, 1, reviewer="AB", verdict="agree", moment="2026-03-05T10:00:00Z")
    second = entry_of(TWO, 2, reviewer="AB", verdict="disagree", moment="2026-03-05T09:00:00Z", replaces=first["id"])
    page = open_file(out, ONE.record.key, own_browser_name)
    begin_with_local_storage(page, local_storage_of(folder_of(out), first, second))
    page.goto((out / "studies" / TWO.record.key / "index.html").as_uri())
    ready(page)
    assert said(page) == "disagree"


def test_nothing_is_missed_by_a_reader_who_answers_and_goes_on_at_once(open_file, out, browser_name) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    way = cycle([("n", FOUR), ("p", TWO), ("p", ONE), ("n", TWO)])
    given: dict[str, str] = {}
    for place in range(20):
        study = page.url.split("/")[-2]
        if study in given:
            assert said(page) == given[study]
        key, goes_to = next(way)
        given[study] = ("agree", "partly", "disagree")[place % 3]
        press_at_once(page, f"{place % 3 + 1}{key}")
        page.wait_for_url(f"**/{goes_to.record.key}/**")
        ready(page)
    assert [entry["verdict"] for entry in sorted(entries_kept(page), key=lambda each: each["moment"])] == [
        ("agree", "partly", "disagree")[place % 3] for place in range(20)
    ]


def test_a_link_waits_until_the_answer_is_kept(open_file, out, browser_name) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    events: list[str] = []
    page.expose_function("note", lambda event: events.append(event))  # noqa: PLW0108 - playwright marks the function
    page.evaluate(
        """() => {
          const { transaction } = IDBDatabase.prototype;
          IDBDatabase.prototype.transaction = function (...given) {
            const made = transaction.apply(this, given);
            if (given[1] === "readwrite") made.addEventListener("complete", () => note("kept"));
            return made;
          };
          addEventListener("beforeunload", () => note("left"));
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "3", bubbles: true }));
          document.querySelector("a.back").click();
        }"""
    )
    page.wait_for_url("**/out/index.html")
    ready(page)
    assert events == ["kept", "left"]
    page.locator(f"tr[data-key='{TWO.record.key}'] a.study-link").click()
    page.wait_for_url("**/studies/**")
    ready(page)
    assert said(page) == "disagree"


def test_who_leaves_while_an_answer_is_being_written_is_asked_first(open_file, out, browser_name) -> None:
    page = open_file(out, TWO.record.key, browser_name, expected="dialog")
    questions: list[str] = []

    def stay(dialog: Dialog) -> None:
        questions.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.keyboard.press("r")
    other = open_file(out, FOUR.record.key, browser_name)
    other.evaluate(
        """() => new Promise((resolve) => {
          indexedDB.open("m2ib-audit review").onsuccess = ({ target }) => {
            const studies = target.result.transaction("studies", "readwrite").objectStore("studies");
            const hold = () => {
              studies.get("").onsuccess = hold; // no other transaction writes meanwhile
              resolve();
            };
            hold();
          };
        })"""
    )
    page.keyboard.press("3")
    expect(page.locator(STATE)).to_have_text("Saving…")
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    other.close()
    kept(page)
    assert questions == ["beforeunload"]
    assert [entry["verdict"] for entry in entries_kept(page)] == ["disagree"]


def test_a_comment_is_kept_while_it_is_typed(open_file, out, browser_name) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("c")
    page.keyboard.type("not yet done")
    kept(page)
    assert page.evaluate("document.activeElement.value") == "not yet done"
    assert entries_kept(page)[-1]["comment"] == "not yet done"


def test_answers_that_pages_write_at_the_same_time_are_all_kept(open_file, out, browser_name) -> None:
    pages = [open_file(out, FOUR.record.key, browser_name) for _ in range(2)]
    for page in pages:
        page.keyboard.press("r")
    press_at_once(pages[0], "1n2")
    press_at_once(pages[1], "nn3n1")
    for page in pages:
        kept(page)
        expect(page.locator(".reviewed")).to_have_count(4)  # each page learns what the other wrote
    assert sorted(entry["verdict"] for entry in entries_kept(pages[0])) == ["agree", "agree", "disagree", "partly"]


def test_pages_that_answer_the_same_phrase_at_the_same_time_keep_both(open_file, out, browser_name) -> None:
    pages = [open_file(out, TWO.record.key, browser_name) for _ in range(2)]
    for page in pages:
        page.keyboard.press("r")
    for place in range(6):
        press_at_once(pages[place % 2], "13"[place % 2])
    for page in pages:
        kept(page)
    entries = entries_kept(pages[0])
    follows = {entry["replaces"]: entry for entry in entries}
    assert len(follows) == len(entries)  # a chain: no entry replaces what another has replaced already
    last = next(entry for entry in entries if entry["id"] not in follows)
    for page in pages:
        page.reload()
        ready(page)
        assert said(page) == last["verdict"]


def test_initials_that_are_changed_on_one_page_are_those_of_the_others(open_file, out, browser_name) -> None:
    first, second = (open_file(out, key, browser_name) for key in (TWO.record.key, FOUR.record.key))
    for page in (first, second):
        page.keyboard.press("r")
    first.get_by_role("textbox", name="Reviewer").fill("CD")
    first.keyboard.press("Escape")
    expect(second.get_by_role("textbox", name="Reviewer")).to_have_value("CD")
    second.keyboard.press("2")
    kept(second)
    assert [entry["reviewer"] for entry in entries_kept(second)] == ["CD"]


def test_kept_is_said_only_once_the_transaction_is_complete(open_file, out, browser_name, tmp_path) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.evaluate("() => { IDBTransaction.prototype.commit = function () { this.abort(); }; }")
    page.keyboard.press("r")
    page.keyboard.press("3")
    expect(page.locator(STATE)).to_have_text(UNKEPT)
    assert entries_kept(page) == []
    assert [entry["verdict"] for entry in save(page, tmp_path / "saved.json")] == ["disagree"]


def test_what_a_full_browser_did_not_keep_is_kept_with_the_next_answer(open_file, out, browser_name) -> None:
    page = open_file(out, FOUR.record.key, browser_name)
    page.evaluate("() => { globalThis.put = IDBObjectStore.prototype.put; }")
    keep_nothing(page)
    page.keyboard.press("r")
    press_at_once(page, "1n2")
    expect(page.locator(STATE)).to_have_text(UNKEPT)
    page.evaluate("() => { IDBObjectStore.prototype.put = globalThis.put; }")
    page.keyboard.press("3")
    kept(page)
    page.reload()
    ready(page)
    expect(page.locator(".reviewed")).to_have_text(["reviewed: agree", "reviewed: disagree"])


@pytest.mark.parametrize(
    "hindrance",
    [
        pytest.param("Object.defineProperty(globalThis, 'indexedDB', { value: undefined })", id="none"),
        pytest.param(
            "IDBFactory.prototype.open = () => { throw new DOMException('denied', 'SecurityError'); }", id="denied"
        ),
    ],
)
def test_without_a_database_pages_say_so_and_still_save_a_file(
    open_file, out, browser_name, tmp_path, hindrance
) -> None:
    page = open_file(out, TWO.record.key, browser_name, initials=None)
    page.add_init_script(hindrance)
    page.reload()
    ready(page)
    page.keyboard.press("r")
    page.keyboard.press("3")
    page.get_by_role("dialog", name="Who reviews?").get_by_label("initials").fill("AB")
    page.keyboard.press("Enter")
    expect(page.locator(STATE)).to_have_text(UNKEPT)
    page.locator(".review-hide:visible").click()
    expect(page.locator(".review-hide:visible input")).not_to_be_checked()
    assert [entry["reviewer"] for entry in save(page, tmp_path / "saved.json")] == ["AB"]
    assert import_entries(out, [tmp_path / "saved.json"], now=datetime.now(UTC)).new == 1
    page.get_by_role("link", name="All studies").click()
    page.wait_for_url("**/out/index.html")
    ready(page)
    expect(page.locator("table.studies tbody tr[data-key]")).to_have_count(3)


def test_what_version_0_1_kept_in_local_storage_is_taken_over_once(open_file, out, own_browser_name) -> None:
    page = open_file(out, ONE.record.key, own_browser_name, initials=None)
    mine = entry_of(TWO, 1, reviewer="AB", verdict="disagree")
    other_audit = local_storage_of("/other/studies/", entry_of(FOUR, 2, reviewer="AB"), made=FOUR)
    earlier = {NAME: "AB", HIDES: "yes"} | other_audit | local_storage_of(folder_of(out), mine)
    begin_with_local_storage(page, earlier)
    page.reload()
    ready(page)
    expect(page.locator("body")).to_have_class("study-page withholding")
    assert page.evaluate("Object.keys(localStorage).sort()") == sorted({NAME, HIDES} | other_audit.keys())
    assert entries_kept(page) == [mine]
    page.goto((out / "studies" / TWO.record.key / "index.html").as_uri())
    ready(page)
    assert said(page) == "disagree"
    page.keyboard.press("1")
    kept(page)
    page.get_by_role("textbox", name="Reviewer").fill("CD")
    page.keyboard.press("Escape")
    page.get_by_role("textbox", name="Reviewer").fill("AB")
    page.keyboard.press("Escape")
    page.reload()  # and localStorage holds all of it once more
    ready(page)
    assert said(page) == "agree"
    assert len(entries_kept(page)) == 2


def test_the_page_over_all_studies_takes_over_what_version_0_1_kept(open_file, out, own_browser_name) -> None:
    page = open_file(out, ONE.record.key, own_browser_name, initials=None)
    mine = entry_of(TWO, 1, reviewer="AB", verdict="disagree")
    begin_with_local_storage(page, {NAME: "AB"} | local_storage_of(folder_of(out), mine))
    page.goto((out / "index.html").as_uri())
    ready(page)
    page.get_by_label("Your verdict").select_option("disagree")
    rows = page.locator("table.studies tbody tr[data-key]")
    expect(rows).to_have_count(1)
    assert rows.get_attribute("data-key") == TWO.record.key


def test_the_page_over_all_studies_filters_by_the_verdict_that_its_address_names(open_file, out, browser_name) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("2")
    kept(page)
    page.goto(f"{(out / 'index.html').as_uri()}#verdict=partly")
    ready(page)
    assert page.locator("table.studies tbody tr[data-key]").get_attribute("data-key") == TWO.record.key
    assert page.url.endswith("#verdict=partly")


def test_the_page_over_all_studies_follows_what_is_said_meanwhile(open_file, out, browser_name) -> None:
    study, table = (open_file(out, TWO.record.key, browser_name) for _ in range(2))
    table.goto((out / "index.html").as_uri())
    ready(table)
    table.get_by_label("Your verdict").select_option("partly")
    expect(table.locator("table.studies tbody tr[data-key]")).to_have_count(0)
    study.keyboard.press("r")
    study.keyboard.press("2")
    expect(table.locator("table.studies tbody tr[data-key]")).to_have_count(1)


def test_a_study_whose_folder_was_moved_is_saved_with_what_was_said_before(
    open_file, out, browser_name, tmp_path
) -> None:
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("2")
    kept(page)
    moved = Path(shutil.move(out, tmp_path / "moved"))
    page = open_file(moved, TWO.record.key, browser_name)
    assert [entry["verdict"] for entry in save(page, tmp_path / "saved.json")] == ["partly"]
    assert kept_in_browser(page)["studies"][f"{TWO.record.key} {TWO.record.created.isoformat()}"]["folders"] == [
        folder_of(out),
        folder_of(moved),
    ]


def test_a_page_of_the_server_keeps_nothing_in_the_browser(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out), TWO.record.key)
    page.keyboard.press("1")
    expect(page.locator(STATE)).to_have_text("Saved")
    page.get_by_role("link", name="All studies").click()
    ready(page)
    assert page.evaluate("indexedDB.databases()") == []
    assert page.evaluate("localStorage.length") == 0
