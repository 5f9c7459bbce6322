/** Stores a reviewer's entries: on the server that served the page, otherwise in this browser (review_storage.js). */
const openReviewStore = (review) => {
  const { subjectKey, latestOf, joined, orElse } = reviewKept;

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
    open: async () => ({ hidesScores: review.session.hide_scores }),
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
    saved: async () => [],
  });

  const pageStore = () => {
    const place = `${review.study} ${review.audited}`;
    // Entries of the studies of this folder are saved together; those of other audits in this browser are not.
    const folder = location.pathname.replace(/[^/]*\/[^/]*$/, "");
    let name = "";
    let isNameKept = true;
    let known = []; // entries on this study, as the browser gave them last
    let unkept = []; // entries that the browser did not keep: gone with the page

    const isDone = (asked) => orElse(asked.then(() => true), false);

    const readName = async () => {
      const given = await orElse(reviewKept.choice("name"), undefined);
      if (isNameKept) name = given ?? name;
    };

    return {
      /** Gives the reader's choices for this page. */
      open: async () => {
        await orElse(reviewKept.begin(folder, place));
        await readName();
        return { hidesScores: (await orElse(reviewKept.choice("hides-scores"), false)) === true };
      },
      reviewer: () => name || "reviewer",
      isNamed: () => Boolean(name),
      name: () => name,
      rename: async (given) => {
        name = given.trim();
        isNameKept = false;
        isNameKept = await isDone(reviewKept.choose("name", name));
      },
      /** Resolves to whether the choice is stored for the next pages. */
      hideScores: (isOn) => isDone(reviewKept.choose("hides-scores", isOn)),
      load: async () => {
        await readName();
        known = await orElse(reviewKept.entriesOf(place), known);
        return latestOf(joined(known, unkept));
      },
      append: async (entry) => {
        const others = unkept;
        const answer = await orElse(reviewKept.append(folder, place, entry, others), { entry, unkept: true });
        if (answer.unkept) unkept = [...unkept, entry];
        else if (answer.entry) unkept = unkept.filter((each) => !others.includes(each));
        return answer;
      },
      saved: async () => joined(await orElse(reviewKept.entriesIn(folder), known), unkept),
      onChange: reviewKept.onChange,
    };
  };

  return { ...(review.session ? serverStore() : pageStore()), Refused, Hindered, subjectKey };
};
