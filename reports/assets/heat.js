"use strict";
/** Heat on the model's grid becomes colour and lines over a radiograph; the colours as reports.overlay gives them. */
const heatPainter = (tables, fullColourFrom) => {
  const colours = tables.map((table) => Uint8Array.from(table.match(/../g), (pair) => parseInt(pair, 16)));

  /** Bilinear weights along one axis, as in pipelines.geometry.Placement; cell -1 where the model saw nothing. */
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

  /** Shares of the display range, 0 to 1, on `width` x `height` pixels over the whole source image; NaN where unseen. */
  const sharesOn = (width, height, placement, grid, [low, high]) => {
    const shares = new Float64Array(width * height).fill(NaN);
    const last = { row: grid.length - 1, column: grid[0].length - 1 };
    const across = axisWeights(width, grid[0].length, placement.size, placement.resized_columns, placement.left);
    const down = axisWeights(height, grid.length, placement.size, placement.resized_rows, placement.top);
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
        shares[y * width + x] = Math.min(Math.max(share, 0), 1);
      }
    }
    return shares;
  };

  /** Colour is opaque above a share and fades out below it; values below the threshold are hidden. */
  const colour = (shares, pixels, look) => {
    const table = colours[look.colours];
    for (let i = 0; i < shares.length; i += 1) {
      const share = shares[i];
      if (!(share >= look.threshold)) continue;
      const from = 3 * Math.floor(share * 255 + 0.5);
      const at = 4 * i;
      pixels[at] = table[from];
      pixels[at + 1] = table[from + 1];
      pixels[at + 2] = table[from + 2];
      pixels[at + 3] = Math.floor(Math.min(share / fullColourFrom, 1) ** 1.5 * 255 + 0.5);
    }
  };

  /** Draw heat over a canvas that covers the whole source image; nothing for a map without a range. */
  const paint = (canvas, placement, grid, range, look) => {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!grid || !range) return;
    const picture = context.createImageData(canvas.width, canvas.height);
    colour(sharesOn(canvas.width, canvas.height, placement, grid, range), picture.data, look);
    context.putImageData(picture, 0, 0);
  };

  const paintLegend = (bar, look) => {
    const context = bar.getContext("2d");
    const picture = context.createImageData(bar.width, 1);
    colour(Float64Array.from({ length: bar.width }, (_, x) => x / (bar.width - 1)), picture.data, look);
    context.putImageData(picture, 0, 0);
  };

  const LEVELS = [0.25, 0.5, 0.75]; // of the display range
  const FINENESS = 192; // points along the longer side: lines are smooth, and drawn in a few milliseconds

  /** Lines of equal heat at a quarter, half and three quarters of the range, as one SVG path in source pixels. */
  const contours = ({ rows, columns, placement }, grid, range) => {
    if (!grid || !range) return "";
    const shrink = FINENESS / Math.max(rows, columns);
    const [width, height] = [columns, rows].map((side) => Math.max(2, Math.round(side * shrink)));
    const shares = sharesOn(width, height, placement, grid, range).map((share) => (Number.isNaN(share) ? -1 : share));
    const lines = d3.contours().size([width, height]).thresholds(LEVELS)(shares);
    const place = ([x, y]) => `${((x * columns) / width).toFixed(1)} ${((y * rows) / height).toFixed(1)}`;
    return lines
      .flatMap((line) => line.coordinates.flat())
      .map((ring) => `M${ring.map(place).join("L")}Z`)
      .join("");
  };

  return { paint, paintLegend, contours };
};
