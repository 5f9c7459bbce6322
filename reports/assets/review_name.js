"use strict";
/** Asks for the reviewer's name before a page from disk stores its first answer, to distinguish reviewers. */
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

  /** Resolves to the name, or nothing if the reader enters none. */
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
