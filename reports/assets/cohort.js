"use strict";
/** The table of studies: TanStack Table filters and sorts it, TanStack Virtual says which of its rows are looked at. */
(() => {
  const table = document.querySelector("table.studies.scripted");
  if (!table) return;
  const { texts, findings, flags, most, studies, reviewed, since } = JSON.parse(document.getElementById("data").textContent);
  const [KEY, VIEWS, PHRASES, FINDINGS, FLAGS, PAIRS, GROUPS, HITS, SCORED, ENERGY, COSINE, PICTURE, AUDITED] = Array(13).keys();
  const DRAWN_WHOLE = 150; // so many rows need no window
  const LINES = 3; // of phrases in a row of fixed height
  const BEYOND = 8; // rows drawn above and below what is seen
  const [above, body, below] = table.tBodies;
  const hasPictures = Boolean(table.tHead.querySelector(".picture"));
  const controls = Object.fromEntries(
    ["search", "finding", "outcome", "verdict", "group"].map((name) => [name, document.getElementById(name)]).filter(([, each]) => each),
  );
  const headers = [...table.tHead.querySelectorAll("[data-sort]")];
  const marks = Object.fromEntries(
    ["hit", "miss", "unscored"].map((name) => [name, document.getElementById(`mark-${name}`).content]),
  );
  const folder = location.pathname.replace(/[^/]*$/, "studies/"); // whose pages keep entries in this browser
  let verdicts = new Map(); // of the reviewer, by number of the study

  const takeVerdicts = (said) => {
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

  const isOfVerdict = (place, { wanted, all }) => {
    const given = all.get(place) ?? [];
    return wanted === "open" ? given.length < phrasesIn(studies[place]) : given.includes(wanted);
  };

  /** What the search looks through, made when the browser is idle or when it is first needed. */
  let words = null;
  const wordsOf = () => {
    const lowered = texts.map((text) => text.toLowerCase());
    return studies.map((study) => {
      const phrases = study[PHRASES].filter((_, place) => place % 2 === 0).map((text) => lowered[text]);
      return `${study[KEY]} ${study[VIEWS]} ${phrases.join(" ")}`.toLowerCase();
    });
  };

  /** Of numbers of findings, flags or groups: those that hold the one that is asked for. */
  const filtered = (id, field) => ({
    id,
    accessorFn: (study) => study[field],
    filterFn: (row, _, number) => row.original[field].includes(number),
    enableSorting: false,
  });

  /** Studies without a value come last in either direction; ties keep the order of the run. */
  const sorted = (id, valueOf, sortDescFirst) => ({
    id,
    accessorFn: (study) => valueOf(study) ?? undefined,
    sortFn: (one, other) => {
      const [a, b] = [one.getValue(id), other.getValue(id)];
      return a === b ? 0 : a < b ? -1 : 1;
    },
    sortUndefined: "last",
    sortDescFirst,
  });

  const rows = tanstack.constructTable({
    features: tanstack.tableFeatures({
      coreReactivityFeature: tanstack.storeReactivityBindings(),
      columnFilteringFeature: tanstack.columnFilteringFeature,
      rowSortingFeature: tanstack.rowSortingFeature,
      filteredRowModel: tanstack.createFilteredRowModel(),
      sortedRowModel: tanstack.createSortedRowModel(),
    }),
    data: studies,
    columns: [
      sorted("key", (study) => study[KEY], false),
      sorted("inside", (study) => (study[SCORED] ? study[HITS] / study[SCORED] : null), true),
      sorted("energy", (study) => study[ENERGY], true),
      sorted("cosine", (study) => study[COSINE], true),
      filtered("finding", FINDINGS),
      filtered("outcome", FLAGS),
      filtered("both", PAIRS), // one phrase has the finding and the outcome
      filtered("group", GROUPS),
      {
        id: "verdict",
        accessorFn: (_, place) => place,
        filterFn: (row, _, value) => isOfVerdict(row.index, value),
        enableSorting: false,
      },
      {
        id: "search",
        accessorFn: (_, place) => place,
        filterFn: (row, _, wanted) => wanted.every((word) => words[row.index].includes(word)),
        enableSorting: false,
      },
    ],
    enableSortingRemoval: false,
    enableMultiSort: false,
  });

  /** What the filters ask for, as the columns take it. */
  const asked = {
    search: (text) => text.trim().toLowerCase().split(/\s+/).filter(Boolean),
    finding: (name) => findings.indexOf(name),
    outcome: (name) => flags.indexOf(name),
    group: Number,
    verdict: (name) => ({ wanted: name, all: verdicts }), // so that other verdicts make another filter
  };

  const filter = () => {
    const filters = Object.entries(controls)
      .filter(([, control]) => control.value.trim())
      .map(([id, control]) => ({ id, value: asked[id](control.value) }));
    const [finding, outcome] = ["finding", "outcome"].map((each) => filters.find(({ id }) => id === each)?.value);
    if (finding !== undefined && outcome !== undefined) filters.push({ id: "both", value: finding * most + outcome });
    if (filters.some(({ id }) => id === "search")) words ??= wordsOf();
    rows.setColumnFilters(filters);
  };

  const printed = (value, digits) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));

  const make = (name, className, ...children) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };

  const inFolder = (study, name) => `studies/${encodeURIComponent(study[KEY])}/${name}`;

  const link = (study, className, ...children) => {
    const anchor = make("a", className, ...children);
    const from = location.hash.slice(1);
    anchor.href = inFolder(study, "index.html") + (from ? `?from=${encodeURIComponent(from)}` : "");
    return anchor;
  };

  const pictureOf = (study) => {
    if (!study[PICTURE]) return make("td", "picture");
    const img = make("img");
    img.src = study[PICTURE].startsWith("data:") ? study[PICTURE] : inFolder(study, study[PICTURE]);
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

  let shown = []; // the rows of the studies that match, in their order
  let rowHeight = 0; // which the style sheet gives to every row of a windowed table
  let view = null; // says which rows of a windowed table are looked at

  const measure = () => {
    body.replaceChildren(rowOf(shown[0].index, 0, LINES));
    return body.rows[0].getBoundingClientRect().height;
  };

  /** Put rows in place; those that stay keep their element, and with it the reader's focus. */
  const put = (places, most) => {
    const placeOf = (row) => row.getAttribute("aria-rowindex") - 2;
    d3.select(body)
      .selectAll("tr")
      .data(places, function (place) {
        return this === body ? place : placeOf(this);
      })
      .join((entering) => entering.append((place) => rowOf(shown[place].index, place, most)));
  };

  const fill = (spacer, height) => {
    spacer.hidden = height <= 0;
    spacer.rows[0].cells[0].style.height = `${height}px`;
  };

  const topOfRows = () => table.tHead.getBoundingClientRect().bottom + window.scrollY;

  const drawSeen = () => {
    const { options } = view;
    const margin = topOfRows();
    if (Math.abs(margin - options.scrollMargin) > 1) view.setOptions({ ...options, scrollMargin: margin });
    const items = view.getVirtualItems();
    put(
      items.map(({ index }) => index),
      LINES,
    );
    fill(above, (items[0]?.index ?? 0) * rowHeight);
    fill(below, (shown.length - 1 - (items.at(-1)?.index ?? 0)) * rowHeight);
  };

  const look = () => {
    view = new tanstack.Virtualizer({
      count: shown.length,
      estimateSize: () => rowHeight,
      overscan: BEYOND,
      scrollMargin: topOfRows(),
      getScrollElement: () => window,
      initialOffset: () => window.scrollY,
      observeElementRect: tanstack.observeWindowRect,
      observeElementOffset: tanstack.observeWindowOffset,
      scrollToFn: tanstack.windowScroll,
      onChange: drawSeen,
    });
    view._willUpdate(); // as an adapter does when its component is there
    drawSeen();
  };

  const draw = () => {
    const isWhole = shown.length <= DRAWN_WHOLE;
    table.classList.toggle("windowed", !isWhole);
    document.getElementById("part").hidden = isWhole;
    table.setAttribute("aria-rowcount", shown.length + 1);
    view?.cleanup();
    view = null;
    if (!isWhole) rowHeight ||= measure();
    body.replaceChildren();
    if (!isWhole) {
      look();
      return;
    }
    fill(above, 0);
    fill(below, 0);
    put([...shown.keys()], Infinity);
  };

  const keepInAddress = () => {
    const state = new URLSearchParams();
    for (const [name, control] of Object.entries(controls)) if (control.value) state.set(name, control.value);
    for (const { id, desc } of rows.atoms.sorting.get()) state.set("sort", `${id} ${desc ? "de" : "a"}scending`);
    const hash = state.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };

  const show = () => {
    shown = rows.getSortedRowModel().rows;
    for (const header of headers) {
      const order = rows.getColumn(header.dataset.sort).getIsSorted();
      if (order) header.setAttribute("aria-sort", `${order}ending`);
      else header.removeAttribute("aria-sort");
    }
    draw();
    const [some, all] = [shown, studies].map(({ length }) => length.toLocaleString(document.documentElement.lang));
    document.getElementById("count").textContent =
      shown.length === studies.length ? t("script.cohort.all", { all }) : t("script.cohort.some", { some, all });
    document.getElementById("none").hidden = shown.length > 0;
  };

  const update = () => {
    filter();
    keepInAddress();
    show();
  };

  /** Read what pages from disk keep in this browser; with the server the verdicts come with the page. */
  const readVerdicts = async () => {
    const said = await reviewKept.orElse(reviewKept.verdictsIn(folder), []);
    if (said.length === 0 && verdicts.size === 0) return;
    takeVerdicts(said);
    filter();
    show();
  };

  const takeFromAddress = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const [name, control] of Object.entries(controls)) {
      control.value = state.get(name) ?? "";
      if (control.selectedIndex < 0) control.value = ""; // a name that this run does not have
    }
    const [id, direction] = (state.get("sort") ?? "").split(" ");
    const isKnown = headers.some((header) => header.dataset.sort === id) && /^(a|de)scending$/.test(direction);
    rows.setSorting(isKnown ? [{ id, desc: direction === "descending" }] : []);
  };

  for (const header of headers) {
    const button = make("button", "", ...header.childNodes);
    button.type = "button";
    header.append(button);
    button.addEventListener("click", () => {
      rows.getColumn(header.dataset.sort).toggleSorting();
      keepInAddress();
      show();
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

  for (const control of Object.values(controls)) control.addEventListener("input", update);
  window.addEventListener("resize", () => {
    const height = body.rows[0]?.getBoundingClientRect().height;
    if (!view || !height || Math.abs(height - rowHeight) < 0.5) return;
    rowHeight = height;
    draw();
  });
  // Back from a study's page: the browser may show this page as it was left.
  window.addEventListener("pageshow", (event) => event.persisted && (reviewed ? location.reload() : readVerdicts()));
  window.addEventListener("hashchange", () => {
    // A place on the page is no filter: those stay as they were.
    if (!document.getElementById(location.hash.slice(1))) takeFromAddress();
    update();
  });
  table.hidden = false;
  document.querySelector(".filters").hidden = false;
  if (reviewed) takeVerdicts(reviewed);
  const asking = location.hash.slice(1);
  const named = asking ? document.getElementById(asking) : null;
  if (!named) takeFromAddress();
  update();
  if (named) history.replaceState(null, "", `#${asking}`);
  // On going back the browser restores the position; after following a link the target must be visible.
  const isByLink = performance.getEntriesByType("navigation")[0]?.type === "navigate";
  if (asking && isByLink) (named ?? document.getElementById("studies")).scrollIntoView();
  window.requestIdleCallback?.(() => (words ??= wordsOf()));

  const follow = async () => {
    if (!reviewed) {
      await reviewKept.orElse(reviewKept.begin(folder));
      reviewKept.onChange(readVerdicts);
      document.addEventListener("visibilitychange", () => document.hidden || readVerdicts());
      await readVerdicts();
    }
    document.body.dataset.reviewReady = "true";
  };
  follow();
})();
