/** The reviewer's side of a study's page: one dock a radiograph, one heat's answers in it at a time. */
(() => {
  const VERDICTS = {
    agree: "script.review.verdict_agree",
    partly: "script.review.verdict_partly",
    disagree: "script.review.verdict_disagree",
  };
  const REGIONS = {
    yes: "script.review.region_yes",
    no: "script.review.region_no",
    unsure: "script.review.region_unsure",
  };
  const boxesOf = (count) => (count === 1 ? t("script.review.boxes_one") : t("script.review.boxes_other", { count }));
  const placeOf = (place, box) => {
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map(Math.round);
    return t("script.review.box", { place, x, y, width, height });
  };
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const review = JSON.parse(document.getElementById("data").textContent).review;
  const TYPING_MS = review.session ? 1000 : 400; // without a pause before a comment is kept
  const words = new Map(review.reasons);
  const store = openReviewStore(review);
  const { Answer, same, pause } = reviewAnswers(store, {
    name: () => giveName(),
    isHidden: (answer) => hidden.isHidden(answer),
  });

  const answers = [];
  const unsaved = () => answers.filter((answer) => !answer.isKept || answer.saving);

  /** Load the stored entries; another tab or reviewer may have added some. */
  const refresh = async () => {
    const entries = await store.load();
    for (const answer of answers) {
      const own = entries.filter((entry) => store.subjectKey(entry.subject) === store.subjectKey(answer.subject));
      const mine = own.find((entry) => entry.reviewer === store.reviewer()) ?? null;
      answer.others = own.filter((entry) => entry.reviewer !== store.reviewer());
      if (!answer.saving && (mine?.id ?? null) !== (answer.kept?.id ?? null)) answer.take(mine);
      answer.changed(answer);
    }
    showName();
    return entries.length > 0;
  };

  /** Show the reviewer's name in every dock of a page from disk, except where it is being typed. */
  const showName = () => {
    if (review.session) return;
    for (const field of docks.map((dock) => dock.find(".review-name"))) {
      if (field !== document.activeElement) field.value = store.name();
    }
  };

  const saveAsFile = async () => {
    if (!store.isNamed() && unsaved().length && !(await giveName())) return;
    const saved = await store.saved();
    const pending = unsaved().filter((answer) => !answer.isKept).map((answer) => answer.entry());
    const content = {
      format: review.format,
      version: 1,
      saved: new Date().toISOString(),
      entries: [...saved, ...pending],
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = `review-${store.reviewer().replace(/[^\w-]+/g, "_")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  const make = (name, className, text) => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };

  const said = (entry) => {
    const parts = [entry.verdict ? t(VERDICTS[entry.verdict]) : t("script.review.nothing")];
    if (entry.region_needed) parts.push(t(REGIONS[entry.region_needed]));
    parts.push(...entry.reasons.map((code) => words.get(code) ?? code));
    if (entry.boxes.length) parts.push(boxesOf(entry.boxes.length));
    if (entry.comment) parts.push(entry.comment);
    return parts.join(" · ");
  };

  const docks = [];
  const isOpen = () => docks[0]?.body.hidden === false;

  // The state of the dock is restored in the next study; without storage the dock is closed.
  const DOCK = "m2ib-audit-dock";
  const wasOpen = () => {
    try {
      return sessionStorage.getItem(DOCK) === "open";
    } catch {
      return false;
    }
  };
  const noteOpen = (open) => {
    try {
      sessionStorage.setItem(DOCK, open ? "open" : "folded");
    } catch {
      // the next page begins with its dock folded away
    }
  };

  const hidden = reviewHidden(store, answers, docks);

  const openAll = (open) => {
    noteOpen(open);
    for (const dock of docks) {
      dock.body.hidden = !open;
      dock.find(".review-toggle").setAttribute("aria-expanded", String(open));
      if (!open) dock.draw(false);
    }
  };

  /** The dock of one radiograph. */
  class Dock {
    constructor(section, image) {
      this.section = section;
      this.image = image;
      this.find = (selector) => section.querySelector(selector);
      this.body = this.find(".review-body");
      this.comment = this.find(".review-comment");
      this.cards = [...section.querySelectorAll(".card")];
      this.choices = [...section.querySelectorAll(".review-verdict input")];
      this.regions = [...section.querySelectorAll(".review-region input")];
      this.chips = [...section.querySelectorAll(".review-chip input")];
      this.boxes = startReviewBoxes(this.find(".stage"), image, (boxes, chosen) => this.drawn(boxes, chosen));
      this.answers = image.phrases.map((phrase) => {
        const subject = { study: review.study, audited: review.audited, image: image.key, heat: phrase.heat };
        return new Answer(subject, (answer) => this.show(answer));
      });
      answers.push(...this.answers);
      this.shown = null;
      this.listen();
    }

    get chosen() {
      return Math.max(0, this.cards.findIndex((card) => card.classList.contains("chosen")));
    }

    get answer() {
      return this.answers[this.chosen];
    }

    listen() {
      const on = (selector, event, act) => this.find(selector)?.addEventListener(event, act);
      for (const choice of this.choices) choice.addEventListener("change", () => this.say({ verdict: choice.value }));
      for (const region of this.regions) region.addEventListener("change", () => this.sayRegion(region.value));
      for (const chip of this.chips) chip.addEventListener("change", () => this.sayReasons());
      on(".review-toggle", "click", () => openAll(!isOpen()));
      on(".review-withdraw", "click", () => this.withdraw());
      on(".review-draw", "click", () => this.draw());
      on(".review-add", "click", () => this.add());
      on(".review-copy", "click", () => this.say({ boxes: structuredClone(this.image.phrases[this.chosen].boxes) }));
      on(".review-previous", "click", () => ways.walk(-1));
      on(".review-next", "click", () => ways.walk(1));
      on(".review-open", "click", () => ways.toOpen());
      on(".review-save", "click", saveAsFile);
      on(".review-name", "change", (event) => this.rename(event.target.value));
      let typing = 0;
      this.comment.addEventListener("input", () => {
        const { answer } = this;
        answer.change({ comment: this.comment.value });
        clearTimeout(typing);
        // Who has given no name yet is asked for it once the comment is finished, not amid a word.
        typing = setTimeout(() => store.isNamed() && answer.save(), TYPING_MS);
      });
      this.comment.addEventListener("change", () => this.answer.save());
      for (const field of this.section.querySelectorAll(".review textarea, .review input[type=text]")) {
        field.addEventListener("keydown", (event) => {
          event.stopPropagation(); // letters that are typed are no commands of the viewer
          if (event.key === "Escape") field.blur();
        });
      }
      const watcher = new MutationObserver(() => this.answer !== this.shown && this.turn());
      for (const card of this.cards) watcher.observe(card, { attributes: true, attributeFilter: ["class"] });
    }

    say(fields) {
      this.answer.change(fields);
      this.answer.save();
    }

    sayReasons() {
      this.say({ reasons: this.chips.filter((chip) => chip.checked).map((chip) => chip.value) });
    }

    /** The boxes of the shown phrase; none while they are hidden from the reviewer. */
    get region() {
      return hidden.isHidden(this.answer) ? [] : this.image.phrases[this.chosen].boxes;
    }

    sayRegion(value) {
      if (this.region.length) this.say({ region_needed: value });
    }

    withdraw() {
      this.say({ verdict: null, region_needed: null, reasons: [] });
    }

    drawn(boxes, chosen) {
      this.say({ boxes: boxes.map((box) => ({ ...box })) });
      this.boxes.choose(chosen);
    }

    add() {
      this.boxes.add(this.image.phrases[this.chosen].peak);
      this.find(".review-boxes li:last-child .review-box-name")?.focus();
    }

    draw(on) {
      const button = this.find(".review-draw");
      const now = on ?? button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(now));
      this.boxes.edit(now);
    }

    async rename(name) {
      const wasNamed = store.isNamed();
      const renamed = store.rename(name);
      // Answers that were held back for want of a name are the new reader's.
      if (wasNamed) for (const answer of answers) answer.forget();
      await renamed;
      await refresh();
      if (!wasNamed && store.isNamed()) for (const answer of answers) if (!answer.isKept) answer.save();
    }

    /** Another phrase was chosen. */
    turn() {
      this.boxes.cancel();
      this.shown?.save();
      this.show(this.answer, true);
    }

    show(answer, turned = false) {
      this.mark(answer);
      if (docks.includes(this)) hidden.show();
      if (answer !== this.answer) return;
      const isSame = this.shown === answer && !turned;
      this.shown = answer;
      const { draft } = answer;
      for (const choice of this.choices) choice.checked = choice.value === draft.verdict;
      for (const region of this.regions) region.checked = region.value === draft.region_needed;
      for (const chip of this.chips) chip.checked = draft.reasons.includes(chip.value);
      this.find(".review-reasons").hidden = !(draft.reasons.length || ["partly", "disagree"].includes(draft.verdict));
      if (this.comment.value !== draft.comment) this.comment.value = draft.comment;
      this.find(".review-place").textContent = t("script.review.place", { place: this.chosen + 1, all: this.answers.length });
      this.find(".review-region").hidden = this.region.length === 0;
      this.find(".review-copy").hidden = draft.boxes.length > 0 || this.region.length === 0;
      if (!isSame || !same(this.listed, draft.boxes)) this.listBoxes(draft.boxes);
      this.find(".review-others").replaceChildren(
        ...answer.others.map((entry) => {
          const line = make("li", "quiet", "");
          line.append(make("bdi", "review-other", entry.reviewer), ": ", make("bdi", "", said(entry)));
          return line;
        }),
      );
      this.showState(answer);
    }

    showState(answer) {
      const state = this.find(".review-state");
      const inBrowser = answer.unkept ? t("script.review.unkept") : t("script.review.kept");
      const kept = review.session ? t("script.review.saved") : inBrowser;
      const text = answer.trouble || (answer.saving || !answer.isKept ? t("script.review.saving") : answer.kept ? kept : "");
      if (state.textContent !== text) state.textContent = text;
      state.classList.toggle("wrong", Boolean(answer.trouble || answer.unkept));
      if (review.session) this.find(".review-save").hidden = !answers.some((each) => each.trouble);
    }

    listBoxes(boxes) {
      const focused = [...this.section.querySelectorAll(".review-box-name")].indexOf(document.activeElement);
      this.listed = structuredClone(boxes);
      this.boxes.show(boxes, focused);
      const list = this.find(".review-boxes");
      list.replaceChildren(...boxes.map((box, place) => this.boxLine(box, place)));
      this.find(".review-hint").hidden = boxes.length === 0;
      if (focused >= 0) (list.children[Math.min(focused, boxes.length - 1)]?.firstChild ?? this.find(".review-add")).focus();
    }

    boxLine(box, place) {
      const line = document.createElement("li");
      const name = make("button", "review-plain review-box-name num", placeOf(place + 1, box));
      const remove = make("button", "review-plain review-box-remove", "×");
      for (const button of [name, remove]) button.type = "button";
      name.setAttribute("aria-describedby", this.find(".review-hint").id);
      remove.setAttribute("aria-label", t("script.review.remove", { place: place + 1 }));
      remove.addEventListener("click", () => this.boxes.remove(place));
      name.addEventListener("focus", () => this.boxes.choose(place));
      name.addEventListener("keydown", (event) => {
        if (event.key === "Delete" || event.key === "Backspace") this.boxes.remove(place);
        else if (STEPS[event.key]) this.boxes.nudge(place, STEPS[event.key], event.shiftKey);
        else return;
        event.preventDefault();
      });
      line.append(name, remove);
      return line;
    }

    /** A phrase's card says what was said of it. */
    mark(answer) {
      const tags = this.cards[this.answers.indexOf(answer)].querySelector(".tags");
      tags.querySelector(".reviewed")?.remove();
      const { verdict } = answer.draft;
      if (!verdict) return;
      const words = t("script.review.mine", { verdict: t(VERDICTS[verdict]) });
      tags.append(make("span", `tag reviewed ${verdict}`, words));
    }
  }

  const saveAll = () => Promise.all(answers.map((answer) => answer.save()));

  /** Go to another study once everything is stored. */
  const leaveFor = async (address) => {
    await saveAll();
    if (unsaved().length === 0) location.assign(address);
  };

  /** A link of a page from disk waits until everything is stored, as N, P and U do. */
  const onLink = async (event) => {
    const link = event.target.closest("a[href]:not([target], [download])");
    const isPlain = event.button === 0 && !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented);
    if (!link || !isPlain || unsaved().length === 0) return;
    event.preventDefault();
    await saveAll();
    location.assign(link.href);
  };

  const say = (text) => {
    const dock = ways.current() ?? docks[0];
    if (dock) dock.find(".review-state").textContent = text;
  };

  const ways = reviewWays(review, docks, { leaveFor, say });

  /** Ask a nameless reader of a page from disk for initials; gives whether there are any now. */
  const giveName = async () => {
    const name = await askWhoReviews();
    if (!name) return false;
    await store.rename(name);
    await refresh();
    return true;
  };

  const WAYS = {
    n: () => ways.walk(1),
    p: () => ways.walk(-1),
    u: () => ways.toOpen(),
  };
  const COMMANDS = {
    0: (dock) => dock.withdraw(),
    1: (dock) => dock.say({ verdict: "agree" }),
    2: (dock) => dock.say({ verdict: "partly" }),
    3: (dock) => dock.say({ verdict: "disagree" }),
    4: (dock) => dock.sayRegion("yes"),
    5: (dock) => dock.sayRegion("no"),
    6: (dock) => dock.sayRegion("unsure"),
    c: (dock) => dock.comment.focus(),
    d: (dock) => dock.draw(),
    ...WAYS,
  };

  const onKey = (event) => {
    const dock = ways.current();
    if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || event.target.closest("select")) return;
    const key = event.key.toLowerCase();
    if (key === "r") openAll(!isOpen());
    else if (key === "escape") dock?.boxes.cancel() || dock?.draw(false);
    else if (Object.hasOwn(isOpen() && dock ? COMMANDS : WAYS, key)) {
      event.preventDefault(); // else C would type itself into the comment
      COMMANDS[key](dock);
    }
  };

  const start = async () => {
    document.querySelectorAll(".reading").forEach((section, place) => {
      if (section.querySelector(".review")) docks.push(new Dock(section, review.images[place]));
    });
    hidden.show();
    const { hidesScores } = await store.open();
    hidden.begin(hidesScores);
    document.addEventListener("keydown", onKey);
    if (docks.length === 0) {
      ways.arrive();
      document.body.dataset.reviewReady = "true";
      return;
    }
    for (const dock of docks) {
      dock.turn();
      dock.find(".review").hidden = false;
    }
    showName();
    openAll(Boolean(review.session) || wasOpen());
    window.addEventListener("pagehide", () => store.isNamed() && saveAll());
    window.addEventListener("beforeunload", (event) => {
      // An incomplete write to the browser's storage is lost when the page closes; a request to the server is not.
      const isUnsafe = !review.session && unsaved().length > 0;
      if (store.isNamed()) saveAll(); // here already: what begins at pagehide is dropped in half of the cases
      if (isUnsafe || answers.some((answer) => answer.trouble)) event.preventDefault();
    });
    if (!review.session) document.addEventListener("click", onLink);
    store.onChange?.(refresh);
    document.addEventListener("visibilitychange", () => document.hidden || load());
    const held = await load();
    if (held) openAll(true);
    if (ways.arrive()) return;
    document.body.dataset.reviewReady = "true";
  };

  const load = async () => {
    for (;;) {
      try {
        return await refresh();
      } catch (error) {
        if (error instanceof store.Refused) return false;
        for (const dock of docks) dock.find(".review-state").textContent = t("script.review.unread");
        await pause();
      }
    }
  };

  start();
})();
