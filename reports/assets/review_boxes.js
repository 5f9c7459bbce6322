/** Draws a reviewer's boxes over one radiograph, in source pixels, and lets them be moved and sized. */
const startReviewBoxes = (stage, image, onChange) => {
  const SMALLEST = 4; // CSS pixels: less is a click
  const make = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  const under = stage.querySelector(".drawing");
  const svg = make("svg", { class: "review-drawing", viewBox: under.getAttribute("viewBox"), "aria-hidden": "true" });
  const frame = make("g", { transform: under.querySelector("g").getAttribute("transform") });
  svg.append(frame);
  under.parentElement.append(svg);

  let boxes = [];
  let chosen = -1;
  let grip = null; // what the pointer holds
  const scale = () => frame.getScreenCTM()?.a || 1;
  const rounded = (value) => Math.round(value * 10) / 10;
  const within = (value, most) => Math.min(Math.max(value, 0), most);

  const placeOf = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(frame.getScreenCTM().inverse());
    return [within(point.x, image.columns), within(point.y, image.rows)];
  };

  const between = ([x0, y0], [x1, y1]) => ({
    x: rounded(Math.min(x0, x1)),
    y: rounded(Math.min(y0, y1)),
    width: rounded(Math.abs(x1 - x0)),
    height: rounded(Math.abs(y1 - y0)),
  });

  const cornersOf = ({ x, y, width, height }) => [
    [x, y],
    [x + width, y],
    [x + width, y + height],
    [x, y + height],
  ];

  const paint = () => {
    const size = 9 / scale();
    frame.replaceChildren(
      ...boxes.map((box, place) => {
        const group = make("g", { class: `review-box${place === chosen ? " chosen" : ""}`, "data-box": place });
        const sides = { x: box.x, y: box.y, width: box.width, height: box.height };
        group.append(make("rect", { class: "halo", ...sides }), make("rect", { class: "line", ...sides }));
        cornersOf(box).forEach(([x, y], corner) => {
          const square = { x: x - size / 2, y: y - size / 2, width: size, height: size };
          group.append(make("rect", { class: "corner", "data-corner": corner, ...square }));
        });
        return group;
      }),
    );
  };

  const show = (given, place = -1) => {
    boxes = given.map((box) => ({ ...box }));
    chosen = place;
    grip = null;
    paint();
  };

  const take = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation(); // the image would be moved as well
    svg.setPointerCapture(event.pointerId);
    const point = placeOf(event);
    const owner = event.target.closest("[data-box]");
    const before = boxes.map((box) => ({ ...box }));
    if (!owner) {
      grip = { before, anchor: point, place: boxes.length };
      return;
    }
    chosen = Number(owner.dataset.box);
    const corner = event.target.dataset.corner;
    const box = boxes[chosen];
    grip =
      corner === undefined
        ? { before, held: [point[0] - box.x, point[1] - box.y], place: chosen }
        : { before, anchor: cornersOf(box)[(Number(corner) + 2) % 4], place: chosen };
    paint();
  };

  const move = (event) => {
    if (!grip) return;
    const [x, y] = placeOf(event);
    if (grip.held) boxes[grip.place] = placed(boxes[grip.place], x - grip.held[0], y - grip.held[1]);
    else boxes[grip.place] = between(grip.anchor, [x, y]);
    chosen = grip.place;
    paint();
  };

  const placed = (box, x, y) => ({
    ...box,
    x: rounded(within(x, image.columns - box.width)),
    y: rounded(within(y, image.rows - box.height)),
  });

  const release = () => {
    if (!grip) return;
    const { before, place } = grip;
    grip = null;
    const box = boxes[place];
    if (box && Math.min(box.width, box.height) * scale() < SMALLEST) {
      boxes = before;
      chosen = -1;
    }
    paint();
    if (JSON.stringify(boxes) !== JSON.stringify(before)) onChange(boxes, chosen);
  };

  const cancel = () => {
    if (!grip) return false;
    show(grip.before);
    return true;
  };

  /** Move, or with `sizes` change the size of, one box by steps of half a percent of the image's width. */
  const nudge = (place, [right, down], sizes) => {
    const step = Math.max(1, Math.round(image.columns / 200));
    const box = boxes[place];
    boxes[place] = sizes
      ? {
          ...box,
          width: rounded(Math.min(Math.max(box.width + right * step, step), image.columns - box.x)),
          height: rounded(Math.min(Math.max(box.height + down * step, step), image.rows - box.y)),
        }
      : placed(box, box.x + right * step, box.y + down * step);
    chosen = place;
    paint();
    onChange(boxes, chosen);
  };

  /** A box a fifth of the image's size, around a point (row, column) or the middle. */
  const add = (point) => {
    const [row, column] = point ?? [image.rows / 2, image.columns / 2];
    const box = { x: 0, y: 0, width: rounded(image.columns / 5), height: rounded(image.rows / 5) };
    boxes = [...boxes, placed(box, column - box.width / 2, row - box.height / 2)];
    chosen = boxes.length - 1;
    paint();
    onChange(boxes, chosen);
  };

  const remove = (place) => {
    boxes = boxes.filter((_, other) => other !== place);
    chosen = -1;
    paint();
    onChange(boxes, chosen);
  };

  svg.addEventListener("pointerdown", take);
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", cancel);
  svg.addEventListener("dblclick", (event) => event.stopPropagation()); // nor is it zoomed by two quick boxes
  new ResizeObserver(() => grip || paint()).observe(under.parentElement);

  return {
    show,
    add,
    nudge,
    remove,
    cancel,
    choose: (place) => {
      chosen = place;
      paint();
    },
    edit: (on) => svg.classList.toggle("editing", on),
  };
};
