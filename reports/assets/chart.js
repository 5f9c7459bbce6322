"use strict";
/** Draws each table's score chart: a row's estimate and interval, and what a map reaches that never looks, on one axis. */
(() => {
  const TICKS = 5;
  const numberIn = (svg, name) => (Number.isFinite(parseFloat(svg.dataset[name])) ? Number(svg.dataset[name]) : null);
  const markIn = (svg) => ({
    svg,
    estimate: numberIn(svg, "estimate"),
    low: numberIn(svg, "low"),
    high: numberIn(svg, "high"),
    reference: numberIn(svg, "reference"),
  });

  /** From 0 to 1 for shares, further if a value exceeds that; positions are shares of the width, for any width. */
  const axisOver = (marks) => {
    const values = marks.flatMap(({ estimate, low, high, reference }) => [estimate, low, high, reference]);
    const known = values.filter((value) => value !== null);
    return d3
      .scaleLinear([Math.min(0, ...known), Math.max(1, ...known)], ["0%", "100%"])
      .nice(TICKS);
  };

  const line = (svg, className, from, to, [top, bottom]) =>
    svg.append("line").attr("class", className).attr("x1", from).attr("x2", to).attr("y1", top).attr("y2", bottom);

  const WHOLE = ["0", "100%"];
  const MIDDLE = ["50%", "50%"];

  const drawMark = ({ svg, estimate, low, high, reference }, axis) => {
    const drawing = d3.select(svg);
    for (const tick of axis.ticks(TICKS)) line(drawing, "grid-line", axis(tick), axis(tick), WHOLE);
    if (reference !== null) line(drawing, "reference-line", axis(reference), axis(reference), WHOLE);
    if (low !== null && high !== null) line(drawing, "whisker", axis(low), axis(high), MIDDLE);
    if (estimate === null) return;
    drawing.append("circle").attr("class", "dot").attr("cx", axis(estimate)).attr("cy", "50%").attr("r", 4.5);
  };

  const drawTicks = (svg, axis) => {
    const ticks = axis.ticks(TICKS);
    const format = axis.tickFormat(TICKS, "~f");
    const anchors = new Map([
      [ticks[0], "start"],
      [ticks.at(-1), "end"],
    ]);
    d3.select(svg)
      .selectAll("text")
      .data(ticks)
      .join("text")
      .attr("x", (tick) => axis(tick))
      .attr("y", "0.75rem")
      .attr("text-anchor", (tick) => anchors.get(tick) ?? "middle")
      .text((tick) => format(tick));
  };

  for (const head of document.querySelectorAll("thead svg.ticks")) {
    const marks = [...head.closest("table").querySelectorAll("td.plot > svg")].map(markIn);
    const axis = axisOver(marks);
    drawTicks(head, axis);
    for (const mark of marks) drawMark(mark, axis);
  }
})();
