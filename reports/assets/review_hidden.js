"use strict";
/** Hides scores, boxes and the run's verdict until the reviewer has answered, if the review is set up that way. */
const reviewHidden = (store, answers, docks) => {
  let isOn = true; // until `begin` says otherwise: what was seen for a moment was seen

  /** Scores of a phrase that were once visible stay visible, even if the verdict is withdrawn. */
  const isHidden = ({ kept }) => isOn && !(kept && (kept.verdict !== null || kept.scores_hidden === false));

  const show = () => {
    document.body.classList.toggle("withholding", answers.some(isHidden));
    for (const dock of docks) {
      dock.cards.forEach((card, place) => card.classList.toggle("withheld", isHidden(dock.answers[place])));
      dock.section.classList.toggle("withheld-image", isHidden(dock.answer));
      for (const box of dock.section.querySelectorAll(".box")) {
        const places = box.dataset.phrases.split(" ").filter(Boolean);
        box.classList.toggle("withheld", places.some((place) => isHidden(dock.answers[place])));
      }
    }
  };

  /** The controls of pages from disk; they change the pages that are opened next, since this one has shown its scores. */
  const controls = [...document.querySelectorAll(".review-hide input")];
  const check = (isChecked) => {
    for (const control of controls) control.checked = isChecked;
  };
  for (const control of controls) {
    control.addEventListener("change", async () => {
      const { checked } = control;
      check(checked);
      if (!(await store.hideScores(checked))) check(!checked); // the browser keeps nothing for pages from disk
    });
  }

  /** Begin with what the review, or the reader of pages from disk, asks for. */
  const begin = (hidesScores) => {
    isOn = hidesScores;
    check(isOn);
    show();
  };

  return { isHidden, show, begin };
};
