"use strict";
/** Saves figures as SVG or PNG: what the page draws is drawn again as one picture, with the page's title and its limits. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-family", "text-anchor"];
  const EDGE = 12; // px around a figure
  const LINE = 20; // px of a line of text
  const DENSITY = 2; // pixels of a PNG to a pixel of the page

  const make = (name, attributes, text = "") => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };

  /** Copies a drawing with its styles, which a file of its own would lack. */
  const copied = (drawing) => {
    const copy = drawing.cloneNode(true);
    const originals = [drawing, ...drawing.querySelectorAll("*")];
    for (const [place, element] of [copy, ...copy.querySelectorAll("*")].entries()) {
      const style = getComputedStyle(originals[place]);
      for (const name of STYLES) element.setAttribute(name, style.getPropertyValue(name));
      element.removeAttribute("class");
    }
    return copy;
  };

  /** Yields each word outside of drawings with the element that it stands in and its place on the page. */
  function* wordsIn(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.parentElement.closest("svg, .visually-hidden")) continue;
      for (const word of node.data.matchAll(/\S+/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        yield [word[0], node.parentElement, range.getBoundingClientRect()];
      }
    }
  }

  const written = (text, element, x, y) => {
    const { fontSize, fontFamily, fontWeight, color } = getComputedStyle(element);
    return make("text", { x, y, "font-size": fontSize, "font-family": fontFamily, "font-weight": fontWeight, fill: color }, text);
  };

  /** Draws a figure: its title, its words and drawings where the page has them, and the limits of the page. */
  const drawn = (frame) => {
    const root = frame.querySelector(":scope > :is(table, svg)");
    const origin = root.getBoundingClientRect();
    const title = root.querySelector("caption") ? 0 : LINE;
    const [width, height] = [origin.width + 2 * EDGE, origin.height + 2 * EDGE + title + LINE];
    const picture = make("svg", { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}` });
    picture.append(make("rect", { width: "100%", height: "100%", fill: getComputedStyle(document.documentElement).backgroundColor }));
    if (title) picture.append(written(frame.dataset.figure, document.querySelector("h2"), EDGE, EDGE + 0.7 * LINE));
    const left = (rect) => rect.left - origin.left + EDGE;
    const top = (rect) => rect.top - origin.top + EDGE + title;
    for (const [word, element, rect] of wordsIn(root)) {
      picture.append(written(word, element, left(rect), top(rect) + 0.78 * rect.height));
    }
    for (const drawing of root.matches("svg") ? [root] : root.querySelectorAll("svg")) {
      const rect = drawing.getBoundingClientRect();
      const copy = copied(drawing);
      for (const [key, value] of Object.entries({ x: left(rect), y: top(rect), width: rect.width, height: rect.height })) {
        copy.setAttribute(key, value);
      }
      copy.setAttribute("overflow", "visible");
      picture.append(copy);
    }
    const limits = [...document.querySelectorAll(".notices li")].map((notice) => notice.textContent.trim());
    const line = [document.querySelector("h1").textContent.trim(), ...limits].join(" · ");
    picture.append(written(line, document.querySelector(".quiet"), EDGE, height - EDGE));
    return picture;
  };

  const saved = (address, frame, ending) => {
    const link = document.createElement("a");
    link.href = address;
    link.download = `${frame.dataset.figure.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${ending}`;
    link.click();
  };

  const addressOf = (picture) => `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(picture))}`;

  const savePng = async (frame) => {
    const picture = drawn(frame);
    const image = new Image();
    image.src = addressOf(picture);
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = ["width", "height"].map((side) => Math.ceil(DENSITY * picture.getAttribute(side)));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    saved(canvas.toDataURL("image/png"), frame, "png");
  };

  const WAYS = {
    "script.save.svg": (frame) => saved(addressOf(drawn(frame)), frame, "svg"),
    "script.save.png": savePng,
  };
  for (const frame of document.querySelectorAll("[data-figure]")) {
    const row = document.createElement("p");
    row.className = "save";
    for (const [key, save] of Object.entries(WAYS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = t(key);
      button.setAttribute("aria-label", t("script.save.figure", { way: t(key), figure: frame.dataset.figure }));
      button.addEventListener("click", () => save(frame));
      row.append(button);
    }
    frame.after(row);
  }
})();
