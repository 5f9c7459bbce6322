"""Text from reports, boxes and file names that would like to run never does, and is shown as it is."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_cohort import make_cohort
from made_up_records import EFFUSION, HEART, MadeUp, make_study

from reports.cohort_page import render_cohort
from reports.record import StudyRecord
from reports.run_record import RunRecord
from reports.study_page import render_study

HOSTILE = [
    "<script>window.hacked = 1; alert(1)</script>",
    "</script><script>window.hacked = 1</script>",
    "</style></textarea></title><img src=x onerror='window.hacked=1'>",
    "\"><svg onload=window.hacked=1>' autofocus onfocus='window.hacked=1",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }}{% raw %}{# &lt;b&gt; &amp; #}",
    "\u202eevil\u2066 right to left \u200f\u2028\u2029 lines",
    "<!--<script>",
    '=HYPERLINK("http://example.org")',
]
IDS = ["script", "end of script", "markup", "attributes", "address", "template", "direction", "comment", "formula"]
OURS = {"schema_version", "fit", "outcome", "averaging", "view", "context", "side", "zone"}  # of a list of words


def overwritten(value: Any, text: str) -> Any:
    """Put ``text`` in every field that holds words, keys of settings among them."""
    if isinstance(value, dict):
        return {field: each if field in OURS else _in_field(field, each, text) for field, each in value.items()}
    if isinstance(value, list | tuple):
        return [overwritten(each, text) for each in value]
    return text if isinstance(value, str) else value


def _in_field(field: str, value: Any, text: str) -> Any:
    if field in {"settings", "counts"}:
        return {text: 1} | value
    return {text: text} if field == "software" else overwritten(value, text)


def hostile_study(text: str) -> MadeUp:
    made = make_study("a", (EFFUSION, HEART), phantom_images=False)
    fields = made.record.model_dump()
    fields["created"] = made.record.created
    record = StudyRecord.model_validate(overwritten(fields, text))
    return MadeUp(
        record=record,
        heats={text: next(iter(made.heats.values()))},
        pictures={text: next(iter(made.pictures.values()))},
    )


def render(made: MadeUp) -> str:
    return render_study(made.record, heats=made.heats, pictures=made.pictures)


def hostile_cohort(text: str) -> str:
    run = make_cohort(1).run
    fields = run.model_dump() | {"created": run.created, "finished": run.finished}
    return render_cohort(RunRecord.model_validate(overwritten(fields, text)), [hostile_study(text).record])


class Markup(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
def test_hostile_text_on_a_study_page_is_only_text(open_page, text):
    page = open_page(render(hostile_study(text)))
    page.wait_for_selector(".reading[data-ready]", state="attached")
    page.keyboard.press("Tab")
    page.locator(".card").first.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator(".phrase-text").first.evaluate("(each) => each.textContent") == text
    assert page.title() == re.sub(r"[ \t\n\f\r]+", " ", f"Study {text} · m2ib-audit")
    assert page.evaluate("document.scripts.length") == 3  # data, texts, the script


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
def test_hostile_text_on_the_cohort_page_is_only_text(open_page, text):
    page = open_page(hostile_cohort(text))
    page.get_by_role("searchbox").fill(text)
    page.get_by_label("Finding", exact=True).select_option(index=1)
    assert page.evaluate("window.hacked") is None
    assert page.locator("a.study-link").inner_text().strip() != ""
    assert page.locator("a.study-link").evaluate("(each) => each.href").startswith("file:")
    assert page.locator("table.studies tbody tr[data-key]").count() == 1
    assert page.evaluate("document.scripts.length") == 3  # data, texts, the script


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_no_text_adds_an_element_or_an_attribute(text):
    plain, odd = Markup(render(hostile_study("plain"))), Markup(render(hostile_study(text)))
    assert odd.tags == plain.tags
    assert [name for name, _ in odd.attributes] == [name for name, _ in plain.attributes]


@pytest.mark.parametrize("page", ["study", "cohort"])
def test_pages_hold_no_inline_handler_no_style_attribute_and_no_outside_address(page, study):
    html = render(study) if page == "study" else render_cohort(make_cohort(2).run, [study.record])
    markup = Markup(html)
    for name, value in markup.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in {"src", "href"}:
            assert value is not None
            assert value.startswith(("data:image/png;base64,", "studies/", "../../index.html", "scores.csv", "#"))
    assert {"link", "iframe", "object", "base"}.isdisjoint(markup.tags)


def test_a_script_that_is_not_ours_is_refused_by_the_policy(chromium, tmp_path, study):
    html = render(study).replace("</main>", "<script>window.hacked = 1</script><p style='color:red' id=p>x</p></main>")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("getComputedStyle(document.getElementById('p')).color") != "rgb(255, 0, 0)"
    page.close()


def test_data_for_the_script_survives_every_hostile_text():
    for text in HOSTILE:
        html = hostile_cohort(text)
        start = html.index('id="data">') + len('id="data">')
        data = json.loads(html[start : html.index("</script>", start)])
        assert (data["findings"], data["texts"][0]) == ([text], text)
