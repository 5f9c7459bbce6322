"use strict";
/**
 * Data of version 0.1.0 in localStorage: the reader's choices, and the entries for the studies of a folder.
 *
 * Entries of other folders and the choices stay there, since the pages of another audit may still be of that version.
 */
const reviewEarlier = (folder, place) => {
  const PREFIX = "m2ib-audit review";
  const NAME = `${PREFIX} name`;
  const HIDES = "m2ib-audit-hides-scores";

  const isEntry = (entry) => Boolean(entry?.id && entry.reviewer && entry.subject?.image && entry.subject.heat);

  /** The entries under a key, or none if the text is foreign or damaged. */
  const studyUnder = (key) => {
    const text = localStorage.getItem(key);
    try {
      const kept = JSON.parse(text);
      return { key, text, place: key.slice(PREFIX.length + 1), folder: kept.folder, entries: kept.entries.filter(isEntry) };
    } catch {
      return { entries: [] };
    }
  };

  const choices = [];
  let studies = [];
  try {
    const [name, hides] = [NAME, HIDES].map((key) => localStorage.getItem(key));
    if (name) choices.push(["name", name]);
    if (hides) choices.push(["hides-scores", hides === "yes"]);
    studies = Object.keys(localStorage)
      .filter((key) => key.startsWith(`${PREFIX} `) && key !== NAME)
      .map(studyUnder)
      .filter((each) => each.entries.length && (each.folder === folder || each.place === place));
  } catch {
    // the browser has no localStorage for pages from disk, so an earlier version stored nothing there
  }

  /** Remove migrated data, unless a page of that version has just added to it. */
  const forget = () => {
    for (const { key, text } of studies) if (localStorage.getItem(key) === text) localStorage.removeItem(key);
  };

  return { choices, studies, forget };
};
