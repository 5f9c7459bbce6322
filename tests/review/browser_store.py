"""What pages opened from disk keep in a browser: read and written without the pages' own scripts."""

import json

from playwright.sync_api import Page

_OPEN = """
const opened = () => new Promise((resolve, reject) => {
  const request = indexedDB.open("m2ib-audit review", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("studies").createIndex("folders", "folders", { multiEntry: true });
    request.result.createObjectStore("choices");
  };
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
"""

_READ = """
const database = await opened();
const everything = (name) => new Promise((resolve) => {
  const found = [];
  database.transaction(name).objectStore(name).openCursor().onsuccess = ({ target }) => {
    if (!target.result) return resolve(found);
    found.push([target.result.key, target.result.value]);
    target.result.continue();
  };
});
const kept = { studies: await everything("studies"), choices: await everything("choices") };
database.close();
return kept;
"""


def begin_with_initials(page: Page, initials: str) -> None:
    """Have a reader's initials kept before a page reads them, where none are kept yet."""
    page.add_init_script(
        f"""(() => {{ {_OPEN}
        opened().then((database) => {{
          const choices = database.transaction("choices", "readwrite").objectStore("choices");
          choices.get("name").onsuccess = ({{ target }}) => {{
            if (target.result === undefined) choices.put({json.dumps(initials)}, "name");
            database.close();
          }};
        }}); }})()"""
    )


def begin_with_local_storage(page: Page, kept: dict[str, str]) -> None:
    """Have texts in localStorage before a page's own script runs: Chromium may lose what a page left there earlier."""
    page.add_init_script(
        f"Object.entries({json.dumps(kept)}).forEach(([key, text]) => localStorage.setItem(key, text))"
    )


def kept_in_browser(page: Page) -> dict[str, dict]:
    """Read ``studies`` and ``choices`` by their keys."""
    kept = page.evaluate(f"async () => {{ {_OPEN} {_READ} }}")
    return {store: dict(pairs) for store, pairs in kept.items()}


def entries_kept(page: Page) -> list[dict]:
    """Read the entries on all studies."""
    return [entry for study in kept_in_browser(page)["studies"].values() for entry in study["entries"]]


def empty(page: Page) -> None:
    """Remove all that pages from disk have left in the browser; ``page`` is one of them."""
    page.evaluate(
        """async () => {
          localStorage.clear();
          for (const { name } of await indexedDB.databases()) {
            await new Promise((resolve, reject) => {
              const request = indexedDB.deleteDatabase(name);
              request.onsuccess = resolve;
              request.onerror = () => reject(request.error);
            });
          }
        }"""
    )


def keep_nothing(page: Page) -> None:
    """Let every later write of this page fail as in a full browser."""
    page.evaluate(
        "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
