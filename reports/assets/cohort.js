"use strict";
/** The table of studies: filtered, sorted, and drawn only where it is looked at. */
(() => {
  const table = document.querySelector("table.studies.scripted");
  if (!table) return;
  const { texts, findings, flags, studies, reviewed, since } = JSON.parse(document.getElementById("data").textContent);
  const [KEY, VIEWS, PHRASES, FINDINGS, FLAGS, GROUPS, HITS, SCORED, ENERGY, COSINE, PICTURE, AUDITED] = Array(12).keys();
  const DRAWN_WHOLE = 150; // so many rows need no window
  const LINES = 3; // of phrases in a row of fixed height
  const BEYOND = 8; // rows drawn above and below what is seen
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells.length;
  const hasPictures = Boolean(table.tHead.querySelector(".picture"));
  const controls = Object.fromEntries(
    ["search", "finding", "outcome", "verdict", "group"].map((name) => [name, document.getElementById(name)]).filter(([, each]) => each),
  );
  const headers = [...table.tHead.querySelectorAll("[data-sort]")];
  const marks = Object.fromEntries(
    ["hit", "miss", "unscored"].map((name) => [name, document.getElementById(`mark-${name}`).content]),
  );
  const SORTS = {
    key: (study) => study[KEY],
    inside: (study) => (study[SCORED] ? study[HITS] / study[SCORED] : null),
    energy: (study) => study[ENERGY],
    cosine: (study) => study[COSINE],
  };

  let shown = []; // numbers of the studies that match, in their order
  let sort = null; // [field, direction]
  let words = null; // what the search looks through, made when it is first needed

  let verdicts = new Map(); // of the reviewer, by number of the study

  /** From the server that this page came from, or what pages from disk keep in this browser. */
  const takeVerdicts = () => {
    const said = reviewed ?? reviewKept.verdictsIn(location.pathname.replace(/[^/]*$/, "studies/"));
    verdicts = new Map();
    if (said.length === 0) return;
    const places = new Map(studies.map((study, place) => [study[KEY], place]));
    for (const [key, audited, verdict] of said) {
      const place = places.get(key);
      // Of a study that was audited again, old verdicts speak of another heat.
      const isOld = place === undefined || Math.abs(Date.parse(audited) - since - studies[place][AUDITED]) > 1;
      if (verdict && !isOld) verdicts.set(place, [...(verdicts.get(place) ?? []), verdict]);
    }
  };

  const phrasesIn = (study) => study[PHRASES].length / 2;

  const isOfVerdict = (place, wanted) => {
    const given = verdicts.get(place) ?? [];
    return wanted === "open" ? given.length < phrasesIn(studies[place]) : given.includes(wanted);
  };

  const wordsOf = () => {
    const lowered = texts.map((text) => text.toLowerCase());
    return studies.map((study) => {
      const phrases = study[PHRASES].filter((_, place) => place % 2 === 0).map((text) => lowered[text]);
      return `${study[KEY]} ${study[VIEWS]} ${phrases.join(" ")}`.toLowerCase();
    });
  };

  const matching = () => {
    const wanted = controls.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length > 0) words ??= wordsOf();
    const numbers = [
      [FINDINGS, controls.finding.value, findings.indexOf(controls.finding.value)],
      [FLAGS, controls.outcome.value, flags.indexOf(controls.outcome.value)],
      [GROUPS, controls.group?.value ?? "", Number(controls.group?.value)],
    ].filter(([, value]) => value !== "");
    const verdict = controls.verdict?.value;
    const found = [];
    for (let i = 0; i < studies.length; i += 1) {
      const study = studies[i];
      if (!numbers.every(([field, , number]) => study[field].includes(number))) continue;
      if (verdict && !isOfVerdict(i, verdict)) continue;
      if (wanted.length > 0 && !wanted.every((word) => words[i].includes(word))) continue;
      found.push(i);
    }
    return found;
  };

  /** Studies without a value come last in either direction; ties keep the order of the run. */
  const sorted = (numbers) => {
    if (!sort) return numbers;
    const [field, direction] = sort;
    const sign = direction === "ascending" ? 1 : -1;
    const valueOf = SORTS[field];
    const pairs = numbers.map((number) => [valueOf(studies[number]), number]);
    pairs.sort(([a, one], [b, other]) => {
      if (a === null || b === null) return (a === null) - (b === null) || one - other;
      if (a === b) return one - other;
      return a < b ? -sign : sign;
    });
    return pairs.map(([, number]) => number);
  };

  const printed = (value, digits) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));

  const make = (name, className, ...children) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };

  const link = (study, className, ...children) => {
    const anchor = make("a", className, ...children);
    const from = location.hash.slice(1);
    anchor.href = `studies/${encodeURIComponent(study[KEY])}/index.html${from ? `?from=${encodeURIComponent(from)}` : ""}`;
    return anchor;
  };

  const pictureOf = (study) => {
    if (!study[PICTURE]) return make("td", "picture");
    const img = make("img");
    img.src = study[PICTURE];
    img.alt = "";
    const anchor = link(study, "", img);
    anchor.tabIndex = -1;
    anchor.setAttribute("aria-hidden", "true");
    return make("td", "picture", anchor);
  };

  const phrasesOf = (study, most) => {
    const numbers = study[PHRASES];
    if (numbers.length === 0) return make("td", "phrase-lines", make("span", "quiet", t("script.cohort.no_phrase")));
    const lines = [];
    const count = phrasesIn(study);
    for (let place = 0; place < Math.min(count, most); place += 1) {
      const line = make("li", "", marks[flags[numbers[2 * place + 1]]].cloneNode(true));
      line.querySelector("bdi").textContent = texts[numbers[2 * place]];
      lines.push(line);
    }
    if (count > most) lines[most - 1].append(make("span", "quiet more", t("script.cohort.more", { count: count - most })));
    return make("td", "phrase-lines", make("ul", "", ...lines));
  };

  const answeredOf = (number) => {
    const given = verdicts.get(number)?.length;
    if (!given) return [];
    const words = t("script.cohort.answered", { given, all: phrasesIn(studies[number]) });
    return [make("br"), make("span", "quiet answered", words)];
  };

  const rowOf = (number, place, most) => {
    const study = studies[number];
    const name = link(study, "study-link", make("bdi", "", study[KEY]));
    const hits = { hits: study[HITS], scored: study[SCORED] };
    const inside = study[SCORED] ? t("script.cohort.hits", hits) : t("script.cohort.not_scored");
    const views = study[VIEWS] || t("script.cohort.no_image");
    const row = make(
      "tr",
      "",
      ...(hasPictures ? [pictureOf(study)] : []),
      make("td", "", name, make("br"), make("span", "quiet", make("bdi", "", views)), ...answeredOf(number)),
      phrasesOf(study, most),
      make("td", "num", inside),
      make("td", "num", printed(study[ENERGY], 2)),
      make("td", "num", printed(study[COSINE], 3)),
    );
    row.dataset.key = study[KEY];
    row.setAttribute("aria-rowindex", place + 2);
    return row;
  };

  const spacer = (height) => {
    const row = make("tr", "spacer", make("td"));
    row.setAttribute("aria-hidden", "true");
    row.firstChild.colSpan = columns;
    row.firstChild.style.height = `${height}px`;
    return row;
  };

  let drawn = [0, 0];
  let rowHeight = 0;

  const draw = (anew) => {
    const whole = shown.length <= DRAWN_WHOLE;
    table.classList.toggle("windowed", !whole);
    table.setAttribute("aria-rowcount", shown.length + 1);
    if (whole) {
      if (anew) body.replaceChildren(...shown.map((number, place) => rowOf(number, place, Infinity)));
      return;
    }
    rowHeight ||= measure();
    const top = body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / rowHeight) - BEYOND);
    const last = Math.min(shown.length, Math.ceil((window.innerHeight - top) / rowHeight) + BEYOND);
    const from = Math.min(first, Math.max(0, shown.length - 1));
    const until = Math.max(last, Math.min(shown.length, from + 2 * BEYOND));
    if (!anew && from >= drawn[0] && until <= drawn[1] && drawn[1] - drawn[0] < 200) return;
    drawn = [Math.max(0, from - BEYOND), Math.min(shown.length, until + BEYOND)];
    const rows = shown.slice(...drawn).map((number, place) => rowOf(number, drawn[0] + place, LINES));
    body.replaceChildren(spacer(drawn[0] * rowHeight), ...rows, spacer((shown.length - drawn[1]) * rowHeight));
  };

  /** Rows of a windowed table have one height, which the style sheet gives. */
  const measure = () => {
    body.replaceChildren(rowOf(shown[0], 0, LINES));
    return body.rows[0].getBoundingClientRect().height;
  };

  const keepInAddress = () => {
    const state = new URLSearchParams();
    for (const [name, control] of Object.entries(controls)) if (control.value) state.set(name, control.value);
    if (sort) state.set("sort", sort.join(" "));
    const hash = state.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };

  const update = () => {
    keepInAddress();
    shown = sorted(matching());
    for (const header of headers) {
      if (sort?.[0] === header.dataset.sort) header.setAttribute("aria-sort", sort[1]);
      else header.removeAttribute("aria-sort");
    }
    draw(true);
    const [some, all] = [shown, studies].map(({ length }) => length.toLocaleString(document.documentElement.lang));
    document.getElementById("count").textContent =
      shown.length === studies.length ? t("script.cohort.all", { all }) : t("script.cohort.some", { some, all });
    document.getElementById("none").hidden = shown.length > 0;
  };

  const takeFromAddress = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const [name, control] of Object.entries(controls)) {
      control.value = state.get(name) ?? "";
      if (control.selectedIndex < 0) control.value = ""; // a name that this run does not have
    }
    const [field, direction] = (state.get("sort") ?? "").split(" ");
    sort = Object.hasOwn(SORTS, field) && /^(a|de)scending$/.test(direction) ? [field, direction] : null;
  };

  for (const header of headers) {
    const button = make("button", "", ...header.childNodes);
    button.type = "button";
    header.append(button);
    button.addEventListener("click", () => {
      const field = header.dataset.sort;
      const first = field === "key" ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      sort = [field, sort?.[0] === field && sort[1] === first ? second : first];
      update();
    });
  }

  for (const button of document.querySelectorAll("button[data-finding]")) {
    button.addEventListener("click", () => {
      if (!findings.includes(button.dataset.finding)) return;
      controls.finding.value = button.dataset.finding;
      update();
      document.getElementById("studies").scrollIntoView();
      controls.finding.focus({ preventScroll: true });
    });
  }

  let waiting = false;
  const onScroll = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(false);
    });
  };

  for (const control of Object.values(controls)) control.addEventListener("input", update);
  window.addEventListener("scroll", onScroll, { passive: true });
  window.addEventListener("resize", () => {
    rowHeight = 0;
    draw(true);
  });
  const onNews = () => {
    if (reviewed) return; // the server tells with the page
    takeVerdicts();
    update();
  };
  window.addEventListener("storage", onNews);
  // Back from a study's page: the browser may show this page as it was left.
  window.addEventListener("pageshow", (event) => event.persisted && (reviewed ? location.reload() : onNews()));
  window.addEventListener("hashchange", () => {
    // A place on the page is no filter: those stay as they were.
    if (!document.getElementById(location.hash.slice(1))) takeFromAddress();
    update();
  });
  table.hidden = false;
  document.querySelector(".filters").hidden = false;
  takeVerdicts();
  takeFromAddress();
  update();
})();
