"use strict";
(() => {
  const table = document.querySelector("table.studies");
  if (!table) return;
  const findings = JSON.parse(document.getElementById("data").textContent).findings;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const controls = { search: "search", finding: "finding", outcome: "outcome" };
  for (const name of Object.keys(controls)) controls[name] = document.getElementById(name);

  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const wanted = controls.search.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const matches =
        wanted.every((word) => words.get(row).includes(word)) &&
        (controls.finding.value === "" || findings[row.dataset.place].includes(controls.finding.value)) &&
        (controls.outcome.value === "" || row.dataset.outcomes.split(" ").includes(controls.outcome.value));
      row.hidden = !matches;
      shown += matches ? 1 : 0;
    }
    document.getElementById("count").textContent =
      shown === rows.length ? `${rows.length} in all` : `${shown} of ${rows.length}`;
    document.getElementById("none").hidden = shown > 0;
  };

  /** Rows without a value come last in either direction; ties keep the order of the run. */
  const sortBy = (header, direction) => {
    const field = header.dataset.sort;
    const valueOf = (row) => {
      const text = row.dataset[field];
      if (field === "key") return text;
      return text === "" ? null : Number(text);
    };
    const sign = direction === "ascending" ? 1 : -1;
    const sorted = [...rows].sort((one, other) => {
      const [a, b] = [valueOf(one), valueOf(other)];
      if (a === null || b === null) return (a === null) - (b === null) || one.dataset.place - other.dataset.place;
      if (a === b) return one.dataset.place - other.dataset.place;
      return a < b ? -sign : sign;
    });
    body.append(...sorted);
    for (const other of table.tHead.querySelectorAll("[data-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
  };

  for (const header of table.tHead.querySelectorAll("[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const first = header.dataset.sort === "key" ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      sortBy(header, header.getAttribute("aria-sort") === first ? second : first);
    });
  }

  for (const button of document.querySelectorAll("button[data-finding]")) {
    button.addEventListener("click", () => {
      const option = [...controls.finding.options].find((each) => each.value === button.dataset.finding);
      if (!option) return;
      option.selected = true;
      filter();
      document.getElementById("studies").scrollIntoView();
      controls.finding.focus({ preventScroll: true });
    });
  }

  for (const control of Object.values(controls)) control.addEventListener("input", filter);
  document.querySelector(".filters").hidden = false;
  filter();
})();
