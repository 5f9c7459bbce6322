"use strict";
/** Holds scores, boxes and the run's verdict back until the reviewer has answered, where the review asks for it. */
const reviewHidden = (review, answers, docks) => {
  const FLAG = "m2ib-audit-hides-scores"; // of pages from disk
  const asked = () => {
    try {
      return localStorage.getItem(FLAG) === "yes";
    } catch {
      return false;
    }
  };
  const isOn = review.session ? review.session.hide_scores : asked();

  /** Whoever has once seen the scores of a phrase has seen them, even if the verdict is taken back. */
  const isHidden = ({ kept }) => isOn && !(kept && (kept.verdict !== null || kept.scores_hidden === false));

  const show = () => {
    document.body.classList.toggle("withholding", answers.some(isHidden));
    for (const dock of docks) {
      dock.cards.forEach((card, place) => card.classList.toggle("withheld", isHidden(dock.answers[place])));
      dock.section.classList.toggle("withheld-film", isHidden(dock.answer));
      for (const box of dock.section.querySelectorAll(".box")) {
        const places = box.dataset.phrases.split(" ").filter(Boolean);
        box.classList.toggle("withheld", places.some((place) => isHidden(dock.answers[place])));
      }
    }
  };

  for (const control of document.querySelectorAll(".review-hide input")) {
    control.checked = asked();
    control.addEventListener("change", () => {
      try {
        localStorage.setItem(FLAG, control.checked ? "yes" : "no");
      } catch {
        control.checked = false; // the browser keeps nothing for pages from disk
      }
    });
  }

  return { isHidden, show };
};
