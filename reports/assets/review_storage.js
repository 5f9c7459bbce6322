"use strict";
/**
 * The storage of pages from disk in this browser: the entries for each study, and the reader's choices.
 *
 * It uses IndexedDB. localStorage loses entries: Chromium (156) sometimes gives a page from disk an empty one and drops
 * what the page writes.
 */
const reviewKept = (() => {
  const NAME = "m2ib-audit review"; // of the database, and of the channel on which pages tell each other of a change
  const STUDIES = "studies"; // by study and moment of its audit: its entries, and the folders that its page was opened in
  const CHOICES = "choices"; // by name: "name" holds the reader's initials, "hides-scores" true or false
  let opening = null;
  let channel = null;

  const subjectKey = (subject) => `${subject.image}\n${subject.heat}`;

  /** The latest entry of each reviewer for each heat map: one that no other replaces, because clocks may be set back. */
  const latestOf = (entries) => {
    const replaced = new Set(entries.map(({ reviewer, replaces }) => `${reviewer}\n${replaces}`));
    const isReplaced = ({ reviewer, id }) => replaced.has(`${reviewer}\n${id}`);
    const isLater = (entry, other) =>
      isReplaced(entry) === isReplaced(other)
        ? Date.parse(other.moment) <= Date.parse(entry.moment)
        : isReplaced(other);
    const found = new Map();
    for (const entry of entries) {
      const key = `${subjectKey(entry.subject)}\n${entry.reviewer}`;
      const other = found.get(key);
      if (!other || isLater(entry, other)) found.set(key, entry);
    }
    return [...found.values()];
  };

  /** Both lists, each entry once. */
  const joined = (entries, others) => {
    const ids = new Set(entries.map(({ id }) => id));
    return [...entries, ...others.filter(({ id }) => !ids.has(id))];
  };

  const resultOf = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  const open = async () => {
    if (!globalThis.indexedDB) throw new DOMException("", "NotSupportedError");
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STUDIES).createIndex("folders", "folders", { multiEntry: true });
      request.result.createObjectStore(CHOICES);
    };
    const database = await resultOf(request);
    database.onclose = () => (opening = null);
    database.onversionchange = () => {
      database.close(); // a page of a later version waits for it
      opening = null;
    };
    return database;
  };

  const connect = () => {
    opening ??= open().catch((error) => {
      opening = null;
      throw error;
    });
    return opening;
  };

  /** Do `work` in one transaction; resolves to its result once the transaction is complete and on disk. */
  const transact = async (mode, work) => {
    const database = await connect();
    const transaction = database.transaction([STUDIES, CHOICES], mode, { durability: "strict" });
    const complete = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new DOMException("", "AbortError"));
    });
    const working = async () => {
      const result = await work(transaction.objectStore(STUDIES), transaction.objectStore(CHOICES));
      transaction.commit(); // at once: the browser may be told to leave the page next
      return result;
    };
    const [result] = await Promise.all([working(), complete]);
    return result;
  };

  /** The browser's result, or `otherwise` if it has no storage for pages from disk, is full or fails. */
  const orElse = async (asked, otherwise) => {
    try {
      return await asked;
    } catch (error) {
      if (error instanceof DOMException) return otherwise;
      throw error;
    }
  };

  const tellOthers = () => {
    channel ??= new BroadcastChannel(NAME);
    channel.postMessage("changed");
  };

  /** Call `act` whenever another page has changed the storage. */
  const onChange = (act) => {
    channel ??= new BroadcastChannel(NAME);
    channel.addEventListener("message", act);
  };

  const studyAt = async (studies, place) => (await resultOf(studies.get(place))) ?? { folders: [], entries: [] };

  /** Add to a study's entries in a transaction that has read them. */
  const put = (studies, place, study, folder, entries) => {
    const folders = [...new Set([...study.folders, folder])];
    studies.put({ folders, entries: joined(study.entries, entries) }, place);
  };

  /**
   * Start on a page in `folder`; `place` is that of the study, on a study's page.
   *
   * Data of an earlier version in localStorage is migrated, and a study whose folder was moved is found again.
   */
  const begin = async (folder, place = null) => {
    const earlier = reviewEarlier(folder, place);
    await transact("readwrite", async (studies, choices) => {
      for (const [name, value] of earlier.choices) {
        if ((await resultOf(choices.get(name))) === undefined) choices.put(value, name);
      }
      for (const each of earlier.studies) {
        put(studies, each.place, await studyAt(studies, each.place), each.folder, each.entries);
      }
      const own = await studyAt(studies, place ?? "");
      if (own.entries.length && !own.folders.includes(folder)) put(studies, place, own, folder, []);
    });
    earlier.forget();
  };

  /**
   * Add an entry, and others that were not stored yet; resolves to the latest entry if this one replaces another.
   *
   * Its time is not before that of the entry that it replaces, as on the review server.
   */
  const append = async (folder, place, entry, others) => {
    const answer = await transact("readwrite", async (studies) => {
      const study = await studyAt(studies, place);
      const isOwn = ({ reviewer, subject }) => reviewer === entry.reviewer && subjectKey(subject) === subjectKey(entry.subject);
      const [latest = null] = latestOf(joined(study.entries, others).filter(isOwn));
      if ((latest?.id ?? null) !== entry.replaces) return { latest };
      const isSetBack = latest && Date.parse(latest.moment) > Date.parse(entry.moment);
      const stamped = isSetBack ? { ...entry, moment: latest.moment } : entry;
      put(studies, place, study, folder, [...others, stamped]);
      return { entry: stamped };
    });
    if (answer.entry) tellOthers();
    return answer;
  };

  const entriesOf = async (place) => (await transact("readonly", (studies) => studyAt(studies, place))).entries;

  const studiesIn = (folder) => transact("readonly", (studies) => resultOf(studies.index("folders").getAll(folder)));

  /** The entries for all studies of a folder whose pages were opened. */
  const entriesIn = async (folder) => (await studiesIn(folder)).flatMap(({ entries }) => entries);

  /** Resolves to the stored value of a choice, undefined if there is none. */
  const choice = (name) => transact("readonly", (_, choices) => resultOf(choices.get(name)));

  const choose = async (name, value) => {
    await transact("readwrite", (_, choices) => {
      choices.put(value, name);
    });
    tellOthers();
  };

  /** The verdicts of this browser's reviewer on the studies in a folder: study, time of its audit, verdict. */
  const verdictsIn = async (folder) => {
    const name = (await choice("name")) || "reviewer";
    return (await studiesIn(folder))
      .flatMap(({ entries }) => latestOf(entries.filter((entry) => entry.reviewer === name)))
      .map(({ subject, verdict }) => [subject.study, subject.audited, verdict]);
  };

  return { subjectKey, latestOf, joined, orElse, begin, append, entriesOf, entriesIn, choice, choose, verdictsIn, onChange };
})();
