"use strict";
/** Gives what people read by its key, from reports/texts as the page brings it; a text or a value that lacks is an error. */
const t = (() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const own = (from, name) => {
    if (!Object.hasOwn(from, name)) throw new Error(name);
    return from[name];
  };
  return (key, values = {}) => own(texts, key).replace(/\{(\w+)\}/g, (_, name) => own(values, name));
})();
