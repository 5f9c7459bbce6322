"use strict";
/**
 * Tables whose heads can be clicked: `data-sort` at a head is "text" or "number". The last body is sorted; rows without
 * a value come last in either direction, equal rows keep their order.
 */
(() => {
  const sortBy = (table, column, isText, isFalling) => {
    const body = table.tBodies[table.tBodies.length - 1];
    const valueOf = (row) => {
      const cell = row.cells[column];
      if (isText) return cell.textContent.trim();
      return cell.dataset.value ? Number(cell.dataset.value) : null;
    };
    const compare = (one, other) => (isText ? one.localeCompare(other) : one - other) * (isFalling ? -1 : 1);
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row) }));
    const isMissing = ({ value }) => value === null;
    const sorted = rows.filter((each) => !isMissing(each)).sort((a, b) => compare(a.value, b.value));
    body.append(...[...sorted, ...rows.filter(isMissing)].map(({ row }) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    for (const [column, head] of heads.entries()) {
      const kind = head.dataset.sort;
      if (!kind) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const isFalling = before ? before === "ascending" : kind === "number";
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isFalling ? "descending" : "ascending");
        sortBy(table, column, kind === "text", isFalling);
      });
    }
  }
})();
