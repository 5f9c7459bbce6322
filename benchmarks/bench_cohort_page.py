"""How long a browser takes over the page of many studies: to open it, and to filter, search and sort its table.

A few phantoms are audited; their records, under new keys, stand for many, and no two studies share a phrase: the most
text that a page can hold. Each study has a thumbnail, beside its page where there are many. Chromium opens the page
from disk. Opening counts from the navigation's start until the rows are drawn; a filter, from the event until the
browser has laid the table out and painted once.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench_closing import make_base, repeated
from benchmarks.machine import command_line, write_section
from reports.cohort_page import render_cohort
from reports.record import ScoredImage, StudyRecord
from reports.results_folder import (
    EMBEDDED_THUMBNAILS,
    THUMBNAIL,
    read_record,
    read_run,
    read_study,
    study_folders,
    study_thumbnail,
)

_ROWS, _COLUMNS = 1024, 1024
_MB = 1e6
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_OPENED = """() => new Promise((resolve) => {
  const [navigation] = performance.getEntriesByType("navigation");
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - navigation.startTime)));
})"""
_TIMED = """([selector, value]) => new Promise((resolve) => {
  const control = document.querySelector(selector);
  const start = performance.now();
  if (value === null) control.click();
  else {
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.body.getBoundingClientRect();
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
})"""


def distinct(base: Sequence[StudyRecord], count: int) -> Iterator[StudyRecord]:
    """Give ``count`` records, each with phrases of its own."""
    for number, record in enumerate(repeated(base, count)):
        yield record.model_copy(update={"images": tuple(_told_apart(image, number) for image in record.images)})


def _told_apart(image: ScoredImage, number: int) -> ScoredImage:
    phrases = (replace(phrase, text=f"{phrase.text}, {number}") for phrase in image.phrases)
    return replace(image, phrases=tuple(phrases))


def thumbnails_of(out: Path, folder: Path, count: int) -> dict[str, bytes | str]:
    """Give every study one of the run's thumbnails: in the page as in a run of so many, else linked into its folder."""
    source = folder / THUMBNAIL
    source.write_bytes(study_thumbnail(read_study(study_folders(out)[0])) or b"")
    keys = [f"{number:016x}" for number in range(count)]
    if count <= EMBEDDED_THUMBNAILS:
        return dict.fromkeys(keys, source.read_bytes())
    for key in keys:
        (folder / "studies" / key).mkdir(parents=True)
        (folder / "studies" / key / THUMBNAIL).symlink_to(source)
    return dict.fromkeys(keys, THUMBNAIL)


def steps_on(page: Page) -> dict[str, tuple[str, str | None]]:
    """What is done on a page: a control and what it is set to, or None for a click, by name."""
    options = "(select) => [...select.options].map((option) => option.value).filter(Boolean)"
    finding, group = (page.locator(f"#{name}").evaluate(options)[0] for name in ("finding", "group"))
    return {
        "finding": ("#finding", finding),
        "and outcome": ("#outcome", "miss"),
        "finding off": ("#finding", ""),
        "outcome off": ("#outcome", ""),
        "subgroup": ("#group", group),
        "subgroup off": ("#group", ""),
        "not answered": ("#verdict", "open"),
        "not answered off": ("#verdict", ""),
        "first search": ("#search", "effusion left"),
        "next search": ("#search", "effusion right"),
        "search off": ("#search", ""),
        "sort by energy": ("[data-sort='energy'] button", None),
        "sort by key": ("[data-sort='key'] button", None),
    }


def measure(browser: Browser, address: str) -> dict[str, float]:
    """Open a page and go through its table once; seconds by what was done."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(address)
    seconds = {"open": page.evaluate(_OPENED) / 1e3}
    for name, step in steps_on(page).items():
        seconds[name] = page.evaluate(_TIMED, list(step)) / 1e3
    page.close()
    return seconds


def table(measured: Mapping[int, Sequence[Mapping[str, float]]]) -> list[str]:
    """Lay out median and longest time by what was done and how many studies there are."""
    sizes = list(measured)
    lines = ["| seconds, median (longest) | " + " | ".join(f"{size:,} studies" for size in sizes) + " |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for name in measured[sizes[0]][0]:
        times = [[each[name] for each in measured[size]] for size in sizes]
        lines.append(f"| {name} | " + " | ".join(f"{median(each):.3f} ({max(each):.3f})" for each in times) + " |")
    return lines


def main() -> None:
    """Measure each size and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("no chromium on the PATH: install it (Debian: apt-get install chromium)")
    measured: dict[int, list[dict[str, float]]] = {}
    megabytes = []
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        out = make_base(Path(temporary), rows=_ROWS, columns=_COLUMNS, steps=5)
        base, run = [read_record(folder) for folder in study_folders(out)], read_run(out)
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        for size in given.sizes:
            page = Path(temporary) / str(size) / "index.html"
            page.parent.mkdir()
            thumbnails = thumbnails_of(out, page.parent, size)
            page.write_text(render_cohort(run, distinct(base, size), thumbnails=thumbnails), encoding="utf-8")
            megabytes.append(f"{page.stat().st_size / _MB:,.1f} MB")
            measured[size] = [measure(browser, page.as_uri()) for _ in range(given.repeats)]
        version = browser.version
        browser.close()
    phrases = sum(len(image.phrases) for record in base for image in record.images) / len(base)
    lines = [f"Chromium {version}, {given.repeats} times each; {phrases:.2f} phrases a study; {', '.join(megabytes)}."]
    lines += ["", *table(measured)]
    write_section("bench_cohort_page", command=command_line("bench_cohort_page"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
