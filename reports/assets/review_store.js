/** Where a reviewer's entries are kept: with the server that the page came from, or else in this browser. */
const openReviewStore = (review) => {
  const { PREFIX, NAME, subjectKey, latestOf } = reviewKept;

  /** An answer that trying again does not change. */
  class Refused extends Error {}
  /** What the server says is wrong for now. */
  class Hindered extends Error {}

  const askServer = async (path, options) => {
    const answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
    const body = await answer.json();
    if (answer.ok || answer.status === 409) return body;
    if ([403, 413, 415, 422].includes(answer.status)) throw new Refused(body.error);
    throw new Hindered(body.error);
  };

  const serverStore = () => ({
    reviewer: () => review.session.reviewer,
    isNamed: () => true,
    load: async () => (await askServer(`/api/studies/${review.study}`)).entries,
    append: (entry) =>
      askServer("/api/entries", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(entry),
        keepalive: true, // arrives even if the page is left meanwhile
      }),
    saved: () => [],
  });

  const pageStore = () => {
    const place = `${PREFIX} ${review.study} ${review.audited}`;
    // Entries of the studies of this folder are saved together; those of other audits in this browser are not.
    const folder = location.pathname.replace(/[^/]*\/[^/]*$/, "");
    // What the browser would not keep, for it is full or keeps nothing for pages from disk: gone with the page.
    const unkept = new Map();
    const read = (key) => {
      if (unkept.has(key)) return unkept.get(key);
      try {
        return localStorage.getItem(key);
      } catch {
        return null;
      }
    };
    const write = (key, text) => {
      try {
        localStorage.setItem(key, text);
        unkept.delete(key);
      } catch {
        unkept.set(key, text);
      }
    };
    const keys = () => {
      try {
        return [...new Set([...Object.keys(localStorage), ...unkept.keys()])];
      } catch {
        return [...unkept.keys()];
      }
    };
    const kept = (key) => {
      try {
        const value = JSON.parse(read(key));
        return Array.isArray(value?.entries) ? value : { folder, entries: [] };
      } catch {
        return { folder, entries: [] };
      }
    };
    return {
      reviewer: () => read(NAME) || "reviewer",
      isNamed: () => Boolean(read(NAME)),
      name: () => read(NAME) ?? "",
      rename: (name) => write(NAME, name.trim()),
      load: async () => latestOf(kept(place).entries),
      append: async (entry) => {
        const { entries } = kept(place);
        const own = entries.filter(
          (each) => each.reviewer === entry.reviewer && subjectKey(each.subject) === subjectKey(entry.subject),
        );
        const latest = latestOf(own)[0] ?? null;
        if ((latest?.id ?? null) !== entry.replaces) return { latest };
        write(place, JSON.stringify({ folder, entries: [...entries, entry] }));
        return { entry, unkept: unkept.has(place) };
      },
      saved: () =>
        keys()
          .filter((key) => key.startsWith(`${PREFIX} `) && key !== NAME)
          .map(kept)
          .filter((each) => each.folder === folder)
          .flatMap((each) => each.entries),
      onChange: (tell) =>
        window.addEventListener("storage", (event) => {
          if (event.key === place) tell();
        }),
    };
  };

  return { ...(review.session ? serverStore() : pageStore()), Refused, Hindered, subjectKey };
};
