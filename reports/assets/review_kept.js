"use strict";
/** What pages from disk keep in this browser, and which of several entries on one heat counts. */
const reviewKept = (() => {
  const PREFIX = "m2ib-audit review";
  const NAME = `${PREFIX} name`;

  const subjectKey = (subject) => `${subject.image}\n${subject.heat}`;

  const latestOf = (entries) => {
    const found = new Map();
    for (const entry of entries) {
      const key = `${subjectKey(entry.subject)}\n${entry.reviewer}`;
      const other = found.get(key);
      if (!other || Date.parse(other.moment) <= Date.parse(entry.moment)) found.set(key, entry);
    }
    return [...found.values()];
  };

  const entriesAt = (key, folder) => {
    try {
      const kept = JSON.parse(localStorage.getItem(key));
      return kept.folder === folder ? kept.entries : [];
    } catch {
      return []; // no entries of ours
    }
  };

  /** What this browser's reviewer says of the studies in a folder: study, moment of its audit, verdict. */
  const verdictsIn = (folder) => {
    try {
      const name = localStorage.getItem(NAME) || "reviewer";
      return Object.keys(localStorage)
        .filter((key) => key.startsWith(`${PREFIX} `) && key !== NAME)
        .flatMap((key) => latestOf(entriesAt(key, folder).filter((entry) => entry.reviewer === name)))
        .map(({ subject, verdict }) => [subject.study, subject.audited, verdict]);
    } catch {
      return []; // the browser keeps nothing for pages from disk
    }
  };

  return { PREFIX, NAME, subjectKey, latestOf, verdictsIn };
})();
