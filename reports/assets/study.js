"use strict";
(() => {
  document.querySelector(".no-script").hidden = true;
  const data = JSON.parse(document.getElementById("data").textContent);
  const colours = Uint8Array.from(data.colours.match(/../g), (pair) => parseInt(pair, 16));

  /** Bilinear weights along one axis, as pipelines.geometry.Placement computes them; cell -1 where the model saw nothing. */
  const axisWeights = (count, cells, size, resized, offset) => {
    const lower = new Int32Array(count);
    const fraction = new Float64Array(count);
    for (let i = 0; i < count; i += 1) {
      const centre = ((i + 0.5) * resized) / count + offset;
      const position = Math.min(Math.max((centre * cells) / size - 0.5, 0), cells - 1);
      lower[i] = centre < 0 || centre >= size ? -1 : Math.min(Math.floor(position), Math.max(cells - 2, 0));
      fraction[i] = position - lower[i];
    }
    return { lower, fraction };
  };

  /** Solid from a share on, fading out below it; as reports.overlay.colour_heat does. */
  const opacityOf = (share) => Math.min(share / data.fullColourFrom, 1) ** 1.5;

  /** Write the colour of a share of the display range (0 to 1) at pixel `at`. */
  const setPixel = (pixels, at, share) => {
    const colour = 3 * Math.floor(share * 255 + 0.5);
    pixels[at] = colours[colour];
    pixels[at + 1] = colours[colour + 1];
    pixels[at + 2] = colours[colour + 2];
    pixels[at + 3] = Math.floor(opacityOf(share) * 255 + 0.5);
  };

  /** Draw a phrase's heat over a canvas that covers the whole source image. */
  const paintHeat = (canvas, placement, grid, range) => {
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!grid) return;
    const [low, high] = range;
    const last = { row: grid.length - 1, column: grid[0].length - 1 };
    const across = axisWeights(width, grid[0].length, placement.size, placement.resized_columns, placement.left);
    const down = axisWeights(height, grid.length, placement.size, placement.resized_rows, placement.top);
    const picture = context.createImageData(width, height);
    for (let y = 0; y < height; y += 1) {
      const row = down.lower[y];
      if (row < 0) continue;
      const upperRow = grid[row];
      const lowerRow = grid[Math.min(row + 1, last.row)];
      const v = down.fraction[y];
      for (let x = 0; x < width; x += 1) {
        const column = across.lower[x];
        if (column < 0) continue;
        const next = Math.min(column + 1, last.column);
        const u = across.fraction[x];
        const above = upperRow[column] * (1 - u) + upperRow[next] * u;
        const below = lowerRow[column] * (1 - u) + lowerRow[next] * u;
        const share = (above * (1 - v) + below * v - low) / (high - low);
        setPixel(picture.data, 4 * (y * width + x), Math.min(Math.max(share, 0), 1));
      }
    }
    context.putImageData(picture, 0, 0);
  };

  const paintLegend = (bar) => {
    const context = bar.getContext("2d");
    const picture = context.createImageData(bar.width, 1);
    for (let x = 0; x < bar.width; x += 1) setPixel(picture.data, 4 * x, x / (bar.width - 1));
    context.putImageData(picture, 0, 0);
  };

  /** The small picture in a phrase's card: radiograph and heat together. */
  const paintThumbnail = (canvas, image, img, phrase) => {
    const shrink = 400 / Math.max(img.naturalWidth, img.naturalHeight);
    canvas.width = Math.max(1, Math.round(img.naturalWidth * shrink));
    canvas.height = Math.max(1, Math.round(img.naturalHeight * shrink));
    const heat = document.createElement("canvas");
    heat.width = canvas.width;
    heat.height = canvas.height;
    paintHeat(heat, image.placement, phrase.grid, phrase.range);
    const context = canvas.getContext("2d");
    context.drawImage(img, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 0.75;
    context.drawImage(heat, 0, 0);
  };

  const nats = (value) => {
    const size = Math.abs(value);
    const small = size > 0 && size < 0.01; // two figures, as the text beside has
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : small ? Math.min(8, 1 - Math.floor(Math.log10(size))) : 2;
    return value.toFixed(digits).replace("-", "−");
  };

  /** Keep labels readable at any size, inside the picture and off each other. */
  const layOutLabels = (svg, unit) => {
    const placed = [];
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const toUser = svg.querySelector("g").transform.baseVal.consolidate().matrix;
    for (const box of svg.querySelectorAll(".box")) {
      const text = box.querySelector("text");
      const rect = box.querySelector("path").getBBox();
      text.setAttribute("font-size", 13 * unit);
      text.setAttribute("dy", 0);
      const size = text.getBBox();
      const line = size.height;
      const [imageWidth, imageHeight] = [width / toUser.a, height / toUser.d];
      const x = Math.max(0, Math.min(rect.x, imageWidth - size.width));
      const tops = [rect.y - line, rect.y + rect.height, rect.y];
      for (let step = 1; step < 8; step += 1) tops.push(rect.y + step * line, rect.y - (step + 1) * line);
      const fits = (top) =>
        top >= 0 &&
        top + line <= imageHeight &&
        placed.every((o) => top + line <= o.top || o.top + o.line <= top || x + size.width <= o.x || o.x + o.width <= x);
      const top = tops.find(fits) ?? Math.max(0, rect.y);
      placed.push({ top, line, x, width: size.width });
      text.setAttribute("x", x + 3 * unit);
      text.setAttribute("y", top + line * 0.78);
    }
  };

  /** One radiograph with its controls and phrases. */
  const startReading = (section, image) => {
    const find = (selector) => section.querySelector(selector);
    const canvas = find("canvas.heat");
    const svg = find(".drawing");
    const stage = find(".stage");
    const marker = find(".hottest");
    const radios = [...section.querySelectorAll(".card input[type=radio]")];
    const switches = { heat: find(".heat-switch"), boxes: find(".box-switch"), scale: find(".scale-switch") };
    const ranges = image.phrases.map((phrase) => phrase.range).filter(Boolean);
    const shared = data.sharedRange ?? [Math.min(...ranges.map((range) => range[0])), Math.max(...ranges.map((range) => range[1]))];
    let chosen = 0;

    const showPhrase = () => {
      const phrase = image.phrases[chosen];
      if (!phrase) return;
      const range = phrase.range && (switches.scale?.checked ? shared : phrase.range);
      paintHeat(canvas, image.placement, phrase.grid, range);
      find(".low").textContent = range ? nats(range[0]) : "–";
      find(".high").textContent = range ? nats(range[1]) : "–";
      find(".flat-note").hidden = Boolean(range);
      const spoken = find(`.card[data-phrase="${chosen}"] .phrase-text`).textContent;
      canvas.setAttribute("aria-label", `Heat for: ${spoken}`);
      for (const card of section.querySelectorAll(".card")) {
        card.classList.toggle("chosen", Number(card.dataset.phrase) === chosen);
      }
      for (const box of section.querySelectorAll(".box")) {
        const answered = box.dataset.phrases === "" ? [] : box.dataset.phrases.split(" ").map(Number);
        box.classList.toggle("answers", answered.includes(chosen));
      }
      showSwitches();
      layOut();
    };

    const showSwitches = () => {
      const heat = switches.heat?.checked ?? false;
      canvas.classList.toggle("off", !heat);
      marker.setAttribute("visibility", heat && image.phrases[chosen]?.hottest ? "visible" : "hidden");
      find(".boxes").setAttribute("visibility", (switches.boxes?.checked ?? true) ? "visible" : "hidden");
    };

    const showOpacity = () => {
      const slider = find(".opacity");
      if (!slider) return;
      canvas.style.opacity = slider.value / 100;
      find(".opacity-value").textContent = `${slider.value}\u202f%`;
      slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    };

    /** Size labels and marker for the screen, or for a picture `size` CSS pixels wide and high. */
    const layOut = (size) => {
      const scale = size
        ? Math.min(size.width / image.columns, size.height / image.rows)
        : svg.querySelector("g").getScreenCTM()?.a;
      if (!scale) return;
      const unit = 1 / scale;
      layOutLabels(svg, unit);
      const hottest = image.phrases[chosen]?.hottest;
      if (hottest) marker.setAttribute("transform", `translate(${hottest[1]} ${hottest[0]}) scale(${unit})`);
    };

    const choose = (place) => {
      if (place < 0 || place >= radios.length) return;
      chosen = place;
      radios[place].checked = true;
      showPhrase();
    };

    const flip = (input) => {
      if (!input) return;
      input.checked = !input.checked;
      showSwitches();
    };

    section.classList.add("live");
    radios.forEach((radio, place) => radio.addEventListener("change", () => choose(place)));
    switches.heat?.addEventListener("change", showSwitches);
    switches.boxes?.addEventListener("change", showSwitches);
    switches.scale?.addEventListener("change", showPhrase);
    find(".opacity")?.addEventListener("input", showOpacity);
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      choose(chosen + step);
    });
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || section.classList.contains("behind")) return;
      if (event.key.toLowerCase() === "h") flip(switches.heat);
      if (event.key.toLowerCase() === "b") flip(switches.boxes);
    });
    new ResizeObserver(() => layOut()).observe(stage);
    // The print layout comes after this event: its film is 186 by about 180 mm (page.css), 96 px to 25.4 mm.
    window.addEventListener("beforeprint", () => layOut({ width: 700, height: 680 }));
    window.addEventListener("afterprint", () => layOut());

    const bar = find(".bar");
    if (bar) paintLegend(bar);
    showOpacity();
    choose(Math.max(0, radios.findIndex((radio) => radio.checked)));
    if (radios.length === 0) {
      showSwitches();
      layOut();
    }
    const img = find(".stage img");
    img.decode().then(() => {
      image.phrases.forEach((phrase, place) => {
        paintThumbnail(find(`.card[data-phrase="${place}"] .thumb`), image, img, phrase);
      });
      section.dataset.ready = "true";
    });
  };

  /** Tabs over the images of a study; without a script they stand one below the other. */
  const startTabs = () => {
    const list = document.querySelector("[role=tablist]");
    if (!list) return;
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));
    const select = (place) => {
      tabs.forEach((tab, other) => {
        tab.setAttribute("aria-selected", String(other === place));
        tab.tabIndex = other === place ? 0 : -1;
        panels[other].classList.toggle("behind", other !== place);
      });
    };
    tabs.forEach((tab, place) => {
      panels[place].setAttribute("role", "tabpanel");
      tab.addEventListener("click", () => select(place));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (place + step + tabs.length) % tabs.length;
        select(next);
        tabs[next].focus();
      });
    });
    list.hidden = false;
    select(0);
  };

  /** The masthead stays in sight, and the film fills what is left below it. */
  const above = document.querySelector(".above");
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--above", `${above.getBoundingClientRect().height}px`);
  }).observe(above);

  document.querySelectorAll(".reading").forEach((section, place) => startReading(section, data.images[place]));
  startTabs();
})();
