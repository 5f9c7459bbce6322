"use strict";
(() => {
  document.querySelector(".no-script").hidden = true;
  const data = JSON.parse(document.getElementById("data").textContent);
  const heat = heatPainter(data.colours, data.fullColourFrom);
  const PLAIN = { colours: 0, threshold: 0 };
  const ERASED = {
    region: "script.study.erased_region",
    elsewhere: "script.study.erased_elsewhere",
  };

  /** The small picture in a phrase's card: radiograph and heat together. */
  const paintThumbnail = (canvas, image, img, phrase) => {
    const shrink = 400 / Math.max(img.naturalWidth, img.naturalHeight);
    canvas.width = Math.max(1, Math.round(img.naturalWidth * shrink));
    canvas.height = Math.max(1, Math.round(img.naturalHeight * shrink));
    const overlay = document.createElement("canvas");
    overlay.width = canvas.width;
    overlay.height = canvas.height;
    heat.paint(overlay, image.placement, phrase.grid, phrase.range, PLAIN);
    const context = canvas.getContext("2d");
    context.drawImage(img, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 0.75;
    context.drawImage(overlay, 0, 0);
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
    const boxes = [...svg.querySelectorAll(".box:not(.away)")];
    const edges = boxes.flatMap((box) => {
      const { x, y, width: across, height: down } = box.querySelector("path").getBBox();
      return [y, y + down].map((edge) => ({ x, across, edge }));
    });
    for (const box of boxes) {
      const text = box.querySelector("text");
      const rect = box.querySelector("path").getBBox();
      text.setAttribute("font-size", 13 * unit);
      text.setAttribute("dy", 0);
      const size = text.getBBox();
      const line = size.height;
      const [imageWidth, imageHeight] = [width / toUser.a, height / toUser.d];
      const x = Math.max(0, Math.min(rect.x, imageWidth - size.width - 6 * unit));
      const tops = [rect.y - line, rect.y + rect.height, rect.y];
      for (let step = 1; step < 8; step += 1) tops.push(rect.y + step * line, rect.y - (step + 1) * line);
      const fits = (top) =>
        top >= 0 &&
        top + line <= imageHeight &&
        placed.every((o) => top + line <= o.top || o.top + o.line <= top || x + size.width <= o.x || o.x + o.width <= x);
      // A line of another box would strike it out.
      const isClear = (top) =>
        edges.every((o) => o.edge <= top || o.edge >= top + line || x + size.width <= o.x || o.x + o.across <= x);
      const top = tops.find((each) => fits(each) && isClear(each)) ?? tops.find(fits) ?? Math.max(0, rect.y);
      placed.push({ top, line, x, width: size.width });
      text.setAttribute("x", x + 3 * unit);
      text.setAttribute("y", top + line * 0.78);
    }
  };

  /** One radiograph with its controls and phrases. */
  class Reading {
    constructor(section, image) {
      this.section = section;
      this.image = image;
      this.chosen = 0;
      this.stage = this.find(".stage");
      this.radios = [...section.querySelectorAll(".card input[type=radio]")];
      this.look = { ...PLAIN };
      this.viewer = new Viewer(this.stage, () => this.settle());
      const ranges = image.phrases.map((phrase) => phrase.range).filter(Boolean);
      this.shared = data.sharedRange ?? [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
      section.classList.add("live");
      this.listen();
      this.showOpacity();
      this.choose(Math.max(0, this.radios.findIndex((radio) => radio.checked)));
      if (this.radios.length === 0) {
        this.showSwitches();
        this.settle();
      }
      this.find(".pane img").decode().then(() => {
        image.phrases.forEach((phrase, place) => {
          paintThumbnail(this.find(`.card[data-phrase="${place}"] .thumb`), image, this.find(".pane img"), phrase);
        });
        section.dataset.ready = "true";
      });
    }

    find(selector) {
      return this.section.querySelector(selector);
    }

    get phrase() {
      return this.image.phrases[this.chosen];
    }

    isOn(name) {
      return this.find(name)?.checked ?? false;
    }

    choose(place) {
      if (place < 0 || (place >= this.radios.length && place > 0)) return;
      const left = this.chosen;
      this.chosen = place;
      if (this.radios[place]) this.radios[place].checked = true;
      if (!this.phrase) return;
      const spoken = this.wordsOf(place);
      this.find(".pane canvas.heat").setAttribute("aria-label", t("script.study.heat_for", { phrase: spoken }));
      for (const card of this.section.querySelectorAll(".card")) {
        card.classList.toggle("chosen", Number(card.dataset.phrase) === place);
      }
      this.offerCompanions(left);
      this.show();
    }

    wordsOf(place) {
      return this.find(`.card[data-phrase="${place}"] .phrase-text`).textContent;
    }

    /** A phrase's words, with its finding if one sentence names several. */
    nameOf(place) {
      const words = this.wordsOf(place);
      const twins = this.radios.filter((_, other) => this.wordsOf(other) === words);
      return twins.length > 1 ? `${words} (${this.find(`.card[data-phrase="${place}"] .finding`).textContent})` : words;
    }

    /**
     * What may lie beside the chosen phrase's heat: another phrase's, another method's, a control's. A phrase that lies
     * beside when it is chosen changes places with the one that is left.
     */
    offerCompanions(left) {
      const select = this.find(".beside");
      if (!select) return;
      const before = select.value === `phrase ${this.chosen}` ? `phrase ${left}` : select.value;
      const option = (value, name) => new Option(name, value);
      const group = (name, options) => {
        const element = document.createElement("optgroup");
        element.label = name;
        element.append(...options);
        return element;
      };
      const phrases = this.image.phrases.map((_, place) => option(`phrase ${place}`, this.nameOf(place)));
      const groups = [
        [t("script.study.plain"), [option("plain", t("script.study.without_heat"))]],
        [t("script.study.other_phrases"), phrases.filter((_, place) => place !== this.chosen)],
        [t("script.study.other_methods"), this.phrase.others.map(({ name }) => option(`method ${name}`, name))],
        [t("script.study.controls"), this.phrase.controls.map(({ name }) => option(`control ${name}`, name))],
        [t("script.study.erased"), this.erasedPictures().map(({ value }) => option(`erased ${value}`, t(ERASED[value])))],
      ];
      select.replaceChildren(
        option("", t("script.study.nothing")),
        ...groups.filter(([, options]) => options.length > 0).map(([name, options]) => group(name, options)),
      );
      select.value = before;
      if (select.selectedIndex < 0) select.value = "";
    }

    /** The buttons that put a picture with a region erased beside the heat; none where the model saw a part alone. */
    erasedPictures() {
      const card = this.find(`.card[data-phrase="${this.chosen}"]`);
      const isWhole = this.image.placement.fit !== "crop" && !card.classList.contains("withheld");
      return isWhole ? [...card.querySelectorAll(".beside-heat")] : [];
    }

    toggleErased(button) {
      const select = this.find(".beside");
      const wanted = `erased ${button.value}`;
      const isShown = select.value === wanted;
      this.offerCompanions(this.chosen); // the pictures may have been hidden until the reviewer answered
      select.value = isShown ? "" : wanted;
      this.show();
    }

    /** What the second pane shows: a heat with its range, its peak and words for it; null for no pane. */
    companion(range) {
      const [kind, ...words] = (this.find(".beside")?.value ?? "").split(" ");
      const place = words.join(" ");
      if (kind === "plain") return { grid: null, range: null, title: t("script.study.without_heat"), phrase: this.chosen };
      if (kind === "erased") {
        const picture = this.erasedPictures().find(({ value }) => value === place);
        const { src } = picture.closest("figure").querySelector("img");
        return { grid: null, range: null, src, title: t(ERASED[place]), phrase: this.chosen };
      }
      if (kind === "phrase") {
        const other = this.image.phrases[place];
        return { ...other, range: this.rangeOf(other), title: this.nameOf(place), unit: data.unit, phrase: Number(place) };
      }
      if (kind === "method") {
        const other = this.phrase.others.find(({ name }) => name === place);
        return { ...other, title: other.name, phrase: this.chosen };
      }
      if (kind === "control") {
        const control = this.phrase.controls.find(({ name }) => name === place);
        // On the scale of the heat itself, so that what a control takes away is seen.
        const title = t("script.study.control", { name: control.name, instead: control.instead });
        return { ...control, range, title, unit: data.unit, phrase: this.chosen };
      }
      return null;
    }

    rangeOf(phrase) {
      return phrase.range && (this.isOn(".scale-switch") ? this.shared : phrase.range);
    }

    show() {
      const { phrase } = this;
      if (phrase) {
        const range = this.rangeOf(phrase);
        const companion = this.companion(range);
        const second = this.viewer.beside(companion !== null);
        this.paintPane(this.viewer.panes[0], { ...phrase, range, phrase: this.chosen });
        if (second) {
          this.paintPane(second, companion);
          second.querySelector("img").src = companion.src ?? this.viewer.panes[0].querySelector("img").src;
          this.entitle(second, companion);
        }
        // Read where there are two panes, and in print.
        this.entitle(this.viewer.panes[0], { range, title: this.nameOf(this.chosen), unit: data.unit });
        this.find(".low").textContent = range ? nats(range[0]) : "–";
        this.find(".high").textContent = range ? nats(range[1]) : "–";
        this.find(".flat-note").hidden = Boolean(range);
        heat.paintLegend(this.find(".bar"), this.look);
      }
      for (const button of this.section.querySelectorAll(".beside-heat")) {
        const isShown = button.closest(".card.chosen") && `erased ${button.value}` === this.find(".beside").value;
        button.setAttribute("aria-pressed", String(Boolean(isShown)));
      }
      this.showSwitches();
      this.settle();
    }

    /** Each pane says its own scale: two methods, or two phrases, seldom share one. */
    entitle(pane, { title, range, unit }) {
      pane.querySelector(".pane-title bdi").textContent = title;
      const key = unit ? "script.study.scale" : "script.study.scale_without_unit";
      const scale = range ? t(key, { low: nats(range[0]), high: nats(range[1]), ...(unit && { unit }) }) : "";
      pane.querySelector(".pane-scale").textContent = scale;
    }

    paintPane(pane, shown) {
      heat.paint(pane.querySelector("canvas.heat"), this.image.placement, shown.grid, shown.range, this.look);
      const lines = this.isOn(".contour-switch") ? heat.contours(this.image, shown.grid, shown.range) : "";
      for (const path of pane.querySelectorAll(".contours path")) path.setAttribute("d", lines);
      for (const box of pane.querySelectorAll(".box")) {
        const answered = box.dataset.phrases === "" ? [] : box.dataset.phrases.split(" ").map(Number);
        box.classList.toggle("answers", answered.includes(shown.phrase));
      }
      pane.peak = shown.peak ?? null;
    }

    showSwitches() {
      const heated = this.isOn(".heat-switch");
      const boxed = this.find(".box-switch")?.checked ?? true;
      const hidden = new Set([...this.section.querySelectorAll(".reader-switch:not(:checked)")].map(({ value }) => value));
      for (const pane of this.viewer.panes) {
        pane.querySelector("canvas.heat").classList.toggle("off", !heated);
        pane.querySelector(".contours").setAttribute("visibility", heated ? "visible" : "hidden");
        pane.querySelector(".peak").setAttribute("visibility", heated && pane.peak ? "visible" : "hidden");
        pane.querySelector(".boxes").setAttribute("visibility", boxed ? "visible" : "hidden");
        for (const box of pane.querySelectorAll(".box")) {
          box.classList.toggle("away", hidden.has(box.dataset.reader) || !this.isOfFinding(box));
        }
      }
    }

    /** Whether a box is drawn for what the reader asks to see: everything, the pane's phrase, or one finding. */
    isOfFinding(box) {
      const wanted = this.find(".box-finding")?.value;
      if (!wanted) return true;
      return wanted === "answers" ? box.classList.contains("answers") : wanted === `only ${box.dataset.label}`;
    }

    showOpacity() {
      const slider = this.find(".opacity");
      if (!slider) return;
      for (const pane of this.viewer.panes) pane.querySelector("canvas.heat").style.opacity = slider.value / 100;
      this.find(".opacity-value").textContent = `${slider.value}\u202f%`;
      slider.setAttribute("aria-valuetext", t("script.study.percent", { share: slider.value }));
    }

    showThreshold() {
      const slider = this.find(".threshold");
      this.look.threshold = slider.value / 100;
      this.find(".threshold-value").textContent = `${slider.value}\u202f%`;
      slider.setAttribute("aria-valuetext", t("script.study.percent_of_range", { share: slider.value }));
      this.show();
    }

    /** Size labels and marker for the screen, and print zoom and window. */
    settle() {
      if (!this.viewer) return;
      for (const pane of this.viewer.panes) {
        const svg = pane.querySelector(".drawing");
        const scale = svg.querySelector("g").getScreenCTM()?.a;
        if (!scale) continue;
        layOutLabels(svg, 1 / scale);
        if (pane.peak) {
          const [row, column] = pane.peak;
          pane.querySelector(".peak").setAttribute("transform", `translate(${column} ${row}) scale(${1 / scale})`);
        }
      }
      const { zoom } = this.viewer.view;
      // The side letters stay at the edges of the image, as large as on an image that fits.
      for (const letters of this.stage.querySelectorAll(".sides")) {
        const size = letters.viewBox.baseVal.height / 30 / zoom;
        for (const letter of letters.children) letter.setAttribute("font-size", size);
      }
      const { centre, width, inverted } = this.viewer.window;
      this.find(".zoom-value").textContent = `${Math.round(zoom * 100)}\u202f%`;
      const grey = `${Math.round(centre * 100)} ± ${Math.round(width * 50)}\u202f%`;
      this.find(".window-value").textContent = grey.replace("-", "−");
      this.find(".invert-switch").checked = inverted;
      this.showOpacity();
    }

    /** The print layout comes after `beforeprint`: its image is 186 by about 180 mm (page.css), 96 px to 25.4 mm. */
    print(starts) {
      if (starts) {
        this.kept = this.viewer.view;
        this.viewer.fit();
        const scale = Math.min(700 / this.viewer.panes.length / this.image.columns, 680 / this.image.rows);
        for (const pane of this.viewer.panes) layOutLabels(pane.querySelector(".drawing"), 1 / scale);
      } else {
        this.viewer.view = this.kept;
        this.viewer.place();
      }
    }

    listen() {
      const on = (selector, type, action) => this.find(selector)?.addEventListener(type, action);
      this.radios.forEach((radio, place) => radio.addEventListener("change", () => this.choose(place)));
      on(".heat-switch", "change", () => this.showSwitches());
      on(".box-switch", "change", () => this.showSwitches());
      for (const reader of this.section.querySelectorAll(".reader-switch")) {
        reader.addEventListener("change", () => this.show());
      }
      on(".box-finding", "change", () => this.show());
      on(".scale-switch", "change", () => this.show());
      on(".contour-switch", "change", () => this.show());
      on(".opacity", "input", () => this.showOpacity());
      on(".threshold", "input", () => this.showThreshold());
      on(".colours", "change", (event) => {
        this.look.colours = event.target.selectedIndex;
        this.show();
      });
      on(".beside", "change", () => this.show());
      for (const button of this.section.querySelectorAll(".beside-heat")) {
        button.hidden = this.image.placement.fit === "crop";
        button.addEventListener("click", () => this.toggleErased(button));
      }
      on(".zoom-in", "click", () => this.viewer.zoomBy(Viewer.STEP));
      on(".zoom-out", "click", () => this.viewer.zoomBy(1 / Viewer.STEP));
      on(".zoom-fit", "click", () => this.viewer.fit());
      on(".invert-switch", "change", (event) => this.viewer.invert(event.target.checked));
      on(".window-reset", "click", () => this.viewer.reset());
      on(".window-switch", "change", (event) => {
        this.viewer.windowing = event.target.checked;
      });
      this.stage.addEventListener("keydown", (event) => this.onStageKey(event));
      new ResizeObserver(() => this.settle()).observe(this.stage);
      window.addEventListener("beforeprint", () => this.print(true));
      window.addEventListener("afterprint", () => this.print(false));
    }

    /** Arrow keys walk through the phrases; with Shift they window, with Ctrl they move the image. */
    onStageKey(event) {
      const step = { ArrowDown: [0, 1], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowLeft: [-1, 0] }[event.key];
      if (!step || event.altKey || event.metaKey || event.target !== this.stage) return;
      event.preventDefault();
      const [x, y] = step;
      if (event.shiftKey) this.viewer.windowBy(x * 0.05, -y * 0.05);
      else if (event.ctrlKey) this.viewer.moveBy(-x * 0.1, -y * 0.1);
      else this.choose(this.chosen + x + y);
    }

    flip(name) {
      this.find(name)?.click();
    }
  }

  const KEYS = {
    h: (reading) => reading.flip(".heat-switch"),
    b: (reading) => reading.flip(".box-switch"),
    k: (reading) => reading.flip(".contour-switch"),
    i: (reading) => reading.viewer.invert(),
    w: (reading) => reading.flip(".window-switch"),
    f: (reading) => reading.viewer.fit(),
    "+": (reading) => reading.viewer.zoomBy(Viewer.STEP),
    "=": (reading) => reading.viewer.zoomBy(Viewer.STEP),
    "-": (reading) => reading.viewer.zoomBy(1 / Viewer.STEP),
  };

  /** Letters are commands, unless switched off: speech input and stray keys would press them. */
  const startKeys = (readings) => {
    const switches = [...document.querySelectorAll(".keys-switch")];
    let letters = true;
    for (const each of switches) {
      each.addEventListener("change", () => {
        letters = each.checked;
        for (const other of switches) other.checked = letters;
        document.body.classList.toggle("no-letters", !letters);
      });
    }
    // Before anyone else hears of it.
    window.addEventListener(
      "keydown",
      (event) => {
        const typed = event.target.closest?.("textarea, select, input:not([type=checkbox], [type=radio], [type=range])");
        if (!letters && !typed && event.key.length === 1 && event.key !== " ") event.stopImmediatePropagation();
      },
      true,
    );
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("select, textarea, [type=text]")) return;
      const reading = readings.find(({ section }) => !section.classList.contains("behind"));
      const key = event.key.toLowerCase();
      if (!reading || (event.repeat && !"+=-".includes(key))) return;
      if (Object.hasOwn(KEYS, key)) KEYS[key](reading);
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

  /** An address may name a phrase, as those of the best and worst cases do. */
  const goToPhrase = (readings) => {
    const [, image, place] = /^#phrase-(\d+)-(\d+)$/.exec(location.hash) ?? [];
    if (!readings[image]?.radios[place]) return;
    document.getElementById(`tab-${image}`)?.click();
    readings[image].choose(Number(place));
    document.getElementById(location.hash.slice(1)).scrollIntoView({ block: "nearest" });
  };

  /** Whoever came from a filtered table goes back to it. */
  const from = new URLSearchParams(location.search).get("from");
  const back = document.querySelector(".back");
  if (from && back) back.hash = from;

  /** The masthead stays visible, and the viewer fills the rest of the window. */
  const above = document.querySelector(".above");
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--above", `${above.getBoundingClientRect().height}px`);
  }).observe(above);

  const readings = [...document.querySelectorAll(".reading")].map((section, place) => new Reading(section, data.images[place]));
  startKeys(readings);
  startTabs();
  goToPhrase(readings);
  window.addEventListener("hashchange", () => goToPhrase(readings));
})();
