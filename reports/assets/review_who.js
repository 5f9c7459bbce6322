"use strict";
/** Asks who reviews before a page from disk keeps its first answer: nameless readers could not be told apart. */
const askWhoReviews = (() => {
  const dialog = document.getElementById("review-who");
  const input = dialog?.querySelector("input");
  let asked = null;

  dialog?.addEventListener("keydown", (event) => event.stopPropagation()); // letters of a name are no commands
  dialog?.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) dialog.close("named");
    else input.value = "";
  });
  dialog?.querySelector(".not-now").addEventListener("click", () => dialog.close(""));

  /** Gives the name, or nothing where the reader gives none. */
  return () => {
    asked ??= new Promise((resolve) => {
      dialog.returnValue = "";
      dialog.showModal();
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "named" ? input.value.trim() : ""), { once: true });
    }).finally(() => {
      asked = null;
    });
    return asked;
  };
})();
