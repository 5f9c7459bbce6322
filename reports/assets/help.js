"use strict";
/** The list of keys and terms: opened by "?" or its button, closed by Escape, the button or a click outside. */
(() => {
  const dialog = document.getElementById("help");
  const open = () => dialog.open || dialog.showModal();
  for (const button of document.querySelectorAll(".help-button")) {
    button.hidden = false;
    button.addEventListener("click", open);
  }
  dialog.querySelector(".sheet-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // keys are no commands of the page behind
  document.addEventListener("keydown", (event) => {
    const typed = event.target.closest?.("textarea, select, input:not([type=checkbox], [type=radio], [type=range])");
    if (event.key !== "?" || typed || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    open();
  });
})();
