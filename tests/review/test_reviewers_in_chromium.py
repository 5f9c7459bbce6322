"""Reviewers beside each other, sessions, and who means harm, in a real browser."""

from made_up_review import entry_of, ready, three_studies
from playwright.sync_api import expect
from review_page import STATE, dock, said, saved

ONE, TWO, _ = three_studies()


def test_two_tabs_of_one_reviewer_do_not_overwrite_each_other(open_review, new_page, server, out):
    first = open_review(server, TWO.record.key, expected="409 (Conflict)")  # which is how the tab behind learns of it
    second = new_page("Ada")
    second.goto(first.url)
    ready(second)
    first.keyboard.press("3")
    saved(first)
    second.keyboard.press("c")
    second.keyboard.type("from the other tab")
    second.keyboard.press("Escape")
    saved(second)
    (entry,) = said(out)
    assert (entry.verdict, entry.comment) == ("disagree", "from the other tab")
    assert dock(second).get_by_role("radio", name="Disagree").is_checked()


def test_two_reviewers_stand_beside_each_other(open_review, server, out):
    ada, ben = open_review(server, TWO.record.key, "Ada"), open_review(server, TWO.record.key, "Ben")
    ada.keyboard.press("3")
    dock(ada).get_by_text("Wrong side").click()
    saved(ada)
    ben.keyboard.press("1")
    saved(ben)
    assert {entry.reviewer: entry.verdict for entry in said(out)} == {"Ada": "disagree", "Ben": "agree"}
    ben.reload()
    ready(ben)
    expect(dock(ben).get_by_role("list", name="Other reviewers' answers")).to_have_text("Ada: disagree · Wrong side")
    assert dock(ben).locator("input[value=agree]").is_checked()


def test_a_blinded_reviewer_sees_nothing_of_the_other(open_review, serve_here, out):
    server = serve_here(out, blind=True)
    ada = open_review(server, TWO.record.key, "Ada")
    ada.keyboard.press("3")
    saved(ada)
    ben = open_review(server, TWO.record.key, "Ben")
    assert "Ada" not in ben.locator("body").inner_text()
    assert ben.locator(".review-others li").count() == 0
    assert ben.locator(".card .reviewed").count() == 0


HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\u202e\u2066 javascript:x"


def test_hostile_comments_and_names_never_run(open_review, serve_here, out):
    name = "<img src=x onerror=window.hacked=1>"
    server = serve_here(out, reviewers=("Ada", name))
    client = server.client(name)
    entry = entry_of(TWO, 1, reviewer=name, comment=HOSTILE, verdict="partly")
    comment = client.post(entry).json["entry"]["comment"]  # its unknown words are masked, its markup is whole
    assert "</script><script>window.hacked=1</script>" in comment
    ada = open_review(server, TWO.record.key, "Ada")
    expect(ada.locator(".review-others li")).to_contain_text(comment)
    own = open_review(server, TWO.record.key, name)
    expect(dock(own).get_by_label("Comment")).to_have_value(comment)
    for page in (ada, own):
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.scripts.length") == 3


def test_the_address_of_the_terminal_leads_to_all_studies_and_its_token_leaves_no_trace(new_page, server):
    page = new_page()
    page.goto(server.addresses["Ada"])
    page.wait_for_url("**/index.html")
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""  # HttpOnly
    assert page.evaluate("document.referrer") == ""
    assert page.evaluate("history.length") <= 2
    page.get_by_role("link", name=TWO.record.key).click()
    ready(page)
    expect(dock(page).locator(".review-who")).to_have_text("Ada, study 2 of 3")


def test_the_address_works_when_another_sites_page_links_to_it(new_page, server, tmp_path):
    (tmp_path / "mail.html").write_text(f'<a href="{server.addresses["Ada"]}">review</a>')
    page = new_page()
    page.goto((tmp_path / "mail.html").as_uri())
    page.get_by_role("link").click()
    page.wait_for_url("**/index.html")
    expect(page.get_by_role("link", name=ONE.record.key)).to_be_visible()


def test_another_sites_page_cannot_answer_for_the_reviewer(new_page, server, out, tmp_path):
    page = new_page()
    page.goto(server.addresses["Ada"])
    page.wait_for_url("**/index.html")
    address = f"http://127.0.0.1:{server.port}/api/entries"
    (tmp_path / "evil.html").write_text("<p>evil</p>")
    evil = new_page(expected="")  # which complains of being refused
    evil.goto((tmp_path / "evil.html").as_uri())
    post = """async ([address, entry, type]) => {
      try { await fetch(address, {method: "POST", mode: "no-cors", credentials: "include", body: entry,
        headers: {"Content-Type": type}}); return "sent"; } catch (error) { return String(error); }
    }"""
    for kind in ("text/plain", "application/json"):
        evil.evaluate(post, [address, str(entry_of(TWO, 1)).replace("'", '"').replace("None", "null"), kind])
    assert said(out) == []


def test_what_cannot_be_kept_is_said_tried_again_and_can_be_saved_as_a_file(open_review, start_server, out, tmp_path):
    server = start_server(out)
    page = open_review(server, TWO.record.key, expected="ERR_CONNECTION_REFUSED")
    page.keyboard.press("1")
    saved(page)
    server.process.kill()
    server.process.wait(20)
    page.keyboard.press("3")
    expect(page.locator(STATE)).to_contain_text("Not saved, trying again")
    with page.expect_download() as download:
        dock(page).get_by_role("button", name="Save as file").click()
    download.value.save_as(tmp_path / "unsaved.json")
    assert '"disagree"' in (tmp_path / "unsaved.json").read_text()
    assert [entry.verdict for entry in said(out)] == ["agree"]


def test_who_has_lost_the_session_is_told_how_to_go_on_and_loses_nothing(open_review, server, out):
    page = open_review(server, TWO.record.key, expected="401 (Unauthorized)")
    kept = page.context.cookies(f"http://127.0.0.1:{server.port}/")
    page.context.clear_cookies()
    page.keyboard.press("2")
    expect(page.locator(STATE)).to_have_text(
        "Not saved, trying again: your session has ended; open the address in the terminal again, in another tab"
    )
    page.context.add_cookies(kept)
    saved(page)
    assert [entry.verdict for entry in said(out)] == ["partly"]


def test_a_page_of_another_reviewer_is_told_so_and_says_nothing_in_their_name(open_review, server, out):
    page = open_review(server, TWO.record.key, "Ada", expected="403 (Forbidden)")
    page.context.clear_cookies()
    name, _, value = server.client("Ben").cookie.partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{server.port}/"}])
    page.keyboard.press("2")
    expect(page.locator(STATE)).to_have_text(
        "Not saved: this browser now reviews under another name: load the page again"
    )
    assert said(out) == []
