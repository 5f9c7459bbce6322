"""What people read on the pages stands in one file, and a translation of it reaches every page."""

import ast
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment
from made_up_board import board_texts
from made_up_pages import pages
from made_up_rare_pages import rare_pages
from made_up_watch import watch_pages
from markupsafe import Markup

from reports import texts
from reports.outcomes import CONTROLS
from reports.score_catalogue import SCORES

REPORTS = Path(texts.__file__).parents[1]
TEMPLATES = sorted((REPORTS / "templates").glob("*.html"))
TYPST = REPORTS / "board" / "board.typ"
SCRIPTS = sorted((REPORTS / "assets").glob("*.js"))
SPOKEN = ("aria-label", "title", "placeholder", "alt", "label")
LETTERS = re.compile(r"[^\W\d_]{2,}")
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
CALL = re.compile(r"""\b(?:t|text)\(\s*["']([\w. -]+)["']\s*([~+]?)""")
PUT_TOGETHER = re.compile(r"""\btext\(f"([\w.-]+)\{|\bnamed\(["'](\w+)["'],""")
# Modules that make no page: contracts of what is stored, and files.
NO_PAGE = {"record", "run_record", "comparison_record", "review_record", "results_folder", "reading", "writing"}
NO_PAGE |= {"score_catalogue", "sanity_record", "protocol_record", "model_comparison_record", "watch_record"}
NO_PAGE |= {"model_card"}  # its strings are the names of elements of a schema
# What records call things; pages show it by its text.
IDENTIFIERS = {*CONTROLS, "faithfulness sample", "phrases with words", "no different"}
IDENTIFIERS |= {"burned-in text", "reading back", "box rows", "images audited", "images compared", "phrases audited"}
IDENTIFIERS |= {"absent phrases", "absent phrases audited", "normal studies audited"}
IDENTIFIERS |= {warning for warning, _ in (spec.warning for spec in SCORES.values() if spec.warning)}
IDENTIFIERS |= {"no gap as large as the margin", "not answered"}  # outcomes of planned questions
IDENTIFIERS |= {
    "hit rate",
    "share on markers",
    "heat on markers",
    "heat outside the chest",
    "excluded share",
}  # watched quantities
IDENTIFIERS |= {"too few audits"}  # a state of a watched series
# What errors say of a picture.
IN_ERRORS = {"the picture of a thumbnail", "… of study …"}
# No text: what the browser or a selector takes, the storage's names, a content type.
TECHNICAL = re.compile(
    r"[.#\[:>]|^use strict$|^m2ib-audit review$|^application/|^(?:review|tag|quiet|num|card|wide)-? ?"
)


class Words(HTMLParser):
    """Collects the words of a page or of a template whose Jinja was taken out."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside.append(tag)
        self.found += [value for name, value in attrs if name in SPOKEN and value and LETTERS.search(value)]

    def handle_endtag(self, tag: str) -> None:
        while tag in self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if LETTERS.search(data) and not {"script", "style", "kbd"} & set(self.inside):
            self.found.append(data.strip())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_words_of_its_own(template: Path) -> None:
    html = re.sub(r"(\{% block kind %\})[\w -]+", r"\1", template.read_text("utf-8"))
    assert Words(JINJA.sub("", html)).found == []
    strings = [value for _, kind, value in Environment(autoescape=True).lex(html) if kind == "string"]
    assert [each for each in strings if re.search(r"[A-Za-z] [a-z]|^.[A-Z][a-z]", each)] == []


def test_the_template_of_the_document_holds_no_words_of_its_own() -> None:
    code = re.sub(r"//[^\n]*", "", TYPST.read_text("utf-8"))
    outside_strings = re.sub(r'"[^"]*"', "", code)
    assert re.findall(r"\[([A-Z][a-z]+ [a-z][^]]*)\]", outside_strings) == []
    assert [each for each in re.findall(r'"([^"]*)"', code) if re.search(r"[a-z]{2,} [a-z]{2,}", each)] == []


def strings_of(script: str) -> Iterator[str]:
    """Give a script's string literals; comments are taken out."""
    code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", script, flags=re.DOTALL)
    for quoted in re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', code):
        yield re.sub(r"\$\{[^}]*\}", "", "".join(quoted))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_holds_no_sentence_of_its_own(script: Path) -> None:
    two_words = re.compile(r"[a-zA-Z,]{2,} [a-z]{2,}")
    assert [s for s in strings_of(script.read_text("utf-8")) if two_words.search(s) and not TECHNICAL.search(s)] == []


def shown_strings(module: ast.Module) -> Iterator[str]:
    """Give a module's strings but docstrings, types, names and errors; what an f-string fills in is an ellipsis."""
    passed: set[ast.AST] = set()
    for node in ast.walk(module):
        if node in passed:
            continue
        for unshown in _unshown(node):
            passed.update(ast.walk(unshown))
        if isinstance(node, ast.JoinedStr):
            passed.update(node.values)
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _unshown(node: ast.AST) -> Iterator[ast.AST]:
    """Give what of a node no reader of a page can meet: errors, docstrings, types and ``__all__``."""
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield node
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
        yield node.value
    yield from (type_ for name in ("annotation", "returns") if (type_ := getattr(node, name, None)))


BOARD_MODULES = sorted((REPORTS / "board").glob("*.py"))
PAGE_MODULES = sorted(path for path in (*REPORTS.glob("*.py"), *BOARD_MODULES) if path.stem not in NO_PAGE)
SAID = re.compile(r"\b[A-Za-z]{2,}[,;:.]? [a-z…(]|…,? [a-z]{2,}|^ ?[a-z]{2,} …|^[A-Z][a-z]+\b")


@pytest.mark.parametrize("module", PAGE_MODULES, ids=lambda path: path.name)
def test_python_that_makes_pages_holds_no_words_of_its_own(module: Path) -> None:
    strings = shown_strings(ast.parse(module.read_text("utf-8")))
    said = {string for string in strings if SAID.search(string) and not string.startswith("default-src ")}
    assert said - IDENTIFIERS - IN_ERRORS == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Doc of it."""\nX = "Memory, MB"\n"""Of X."""', True),
        ('raise ValueError(f"{x} is wrong here")', False),
        ('x = f"{a} to {b}"', True),
        ('x = f"{a} nodules"', True),
        ('x = "View"', True),
        ('x = f"phrase-{a}" + "m2ib"', False),
    ],
)
def test_words_in_python_are_found(source: str, found: bool) -> None:
    assert any(SAID.search(string) for string in shown_strings(ast.parse(source))) is found


def used_keys() -> tuple[set[str], set[str]]:
    """Give the keys that code asks for, and the beginnings of those that it puts together."""
    keys: set[str] = set()
    starts = {"count."}  # counted() puts these together
    for path in (*TEMPLATES, TYPST, *SCRIPTS, *REPORTS.glob("*.py"), *BOARD_MODULES):
        source = path.read_text("utf-8")
        for key, joined in CALL.findall(source):
            (starts if joined else keys).add(key)
        starts |= {key or f"{section}." for key, section in PUT_TOGETHER.findall(source)}
        keys |= set(re.findall(r'"(script\.\w+\.\w+)"', source))
    return keys, starts


def test_every_text_is_used_and_every_text_that_is_used_exists() -> None:
    keys, starts = used_keys()
    known = set(texts.all_texts())
    assert keys - known == set()
    assert {key for key in known - keys if not key.startswith(tuple(starts))} == set()


def test_a_translation_reaches_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = {key: f"⟦{key}|{pattern}⟧" for key, pattern in texts.all_texts().items()}
    shown: set[str] = set()
    monkeypatch.setattr(texts, "all_texts", lambda: marked)
    for name, html in (*pages(), *rare_pages(), *watch_pages(), *board_texts()):
        assert html.count("⟦") == html.count("⟧") > 20, name
        scripts = set(re.findall(r'"script\.(study|cohort)\.', html))
        shown |= set(re.findall(r"⟦([^⟦⟧|]+)\|", unescape(html)))
        assert scripts == {next((each for each in ("cohort", "study") if each in name), "")} - {""}, name
    unseen = {key for key in marked if not key.startswith(("script.", "count.")) and key not in shown}
    assert unseen == set()


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [("study.nowhere", {}, "study.nowhere"), ("cohort.title", {}, "model"), ("study.flip", {"x": 1}, "x")],
    ids=["no such text", "a value lacks", "a value too many"],
)
def test_a_text_that_cannot_be_filled_is_an_error(key: str, values: dict[str, object], said: str) -> None:
    for ask in (texts.text, texts.marked_up):
        with pytest.raises(ValueError, match=said):
            ask(key, **values)


def test_what_is_put_into_a_text_is_escaped_unless_it_is_markup() -> None:
    assert texts.marked_up("cohort.title", model="<b>") == "Audit of &lt;b&gt;"
    assert texts.marked_up("cohort.title", model=Markup("<b>")) == "Audit of <b>"
    assert texts.text("cohort.title", model="{x}") == "Audit of {x}"


def test_a_page_gets_the_texts_of_its_own_scripts_alone() -> None:
    assert set(texts.script_texts(["vendor/d3-array.min.js", "heat.js"])) == set()
    assert all(key.startswith("script.cohort.") for key in texts.script_texts(["cohort.js"]))
