"use strict";
/** The ways between phrases: on into other radiographs and other studies, with a server behind the page or without. */
const reviewWays = (review, docks, { leaveFor, say }) => {
  const OPEN = /^#open(?:=([\w.-]+?))?(;again)?$/;
  const beside = review.session ?? review.beside ?? { previous: null, following: null, first: null };

  const current = () => docks.find((dock) => !dock.section.classList.contains("behind"));
  const places = () => docks.flatMap((dock) => dock.answers.map((answer, place) => ({ dock, place, answer })));

  const choose = ({ dock, place }) => {
    if (dock !== current()) document.querySelector(`[role=tab][aria-controls="${dock.section.id}"]`)?.click();
    dock.cards[place].querySelector("input[type=radio]").click();
    dock.cards[place].scrollIntoView({ block: "nearest" });
  };

  /** The phrases before and after the chosen one; on a radiograph without phrases, those of the others. */
  const around = () => {
    const all = places();
    const dock = current();
    const at = all.findIndex((each) => each.dock === dock && each.place === dock.chosen);
    if (at >= 0) return { before: all.slice(0, at), after: all.slice(at + 1), own: [all[at]] };
    const shown = document.querySelector(".reading:not(.behind)");
    const isBefore = ({ dock: { section } }) => section.compareDocumentPosition(shown) & Node.DOCUMENT_POSITION_FOLLOWING;
    return { before: all.filter(isBefore), after: all.filter((each) => !isBefore(each)), own: [] };
  };

  /** To the next or previous phrase, in the neighbouring study if necessary. */
  const walk = (step) => {
    const { before, after } = around();
    const next = step > 0 ? after[0] : before.at(-1);
    if (next) return choose(next);
    const address = step > 0 ? beside.following : beside.previous;
    if (address) return leaveFor(step > 0 ? address : `${address}#last`);
    return say(t(step > 0 ? "script.review_navigation.last" : "script.review_navigation.first"));
  };

  const isOpen = ({ answer }) => !answer.draft.verdict;

  /** From disk no page knows what was said of other studies: each sends on to the next until one has a phrase open. */
  const onward = (start, again) => {
    const wraps = beside.following === null;
    return `${beside.following ?? beside.first}#open=${start}${again || wraps ? ";again" : ""}`;
  };

  /** To the first open phrase of the next study that has one; of this study, if no other has one. */
  const toOpen = () => {
    if (review.session) return leaveFor(review.session.unanswered);
    const isAlone = !beside.following && !beside.previous;
    if (!isAlone) return leaveFor(onward(review.study, false));
    const { before, after, own } = around();
    const open = [...after, ...before, ...own].find(isOpen);
    return open ? choose(open) : say(t("script.review_navigation.none_open"));
  };

  /** Do what the address of the page asks for; gives whether another page is on its way. */
  const arrive = () => {
    const [asked, start, again] = OPEN.exec(location.hash) ?? [];
    if (asked) {
      const open = places().find(isOpen);
      // The search ends where it started, or at the last study for the second time if that study is missing.
      const isAround = !start || start === review.study || (again && beside.following === null);
      if (!open && !isAround) {
        location.replace(onward(start, again));
        return true;
      }
      history.replaceState(null, "", location.pathname + location.search);
      if (open) choose(open);
      else say(t("script.review_navigation.none_open"));
    }
    if (location.hash === "#last" && docks.length) choose(places().at(-1));
    return false;
  };

  return { current, walk, toOpen, arrive };
};
