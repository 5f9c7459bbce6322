/** Radiographs in a viewer: one or two panes that are zoomed, moved and windowed together. */
class Viewer {
  static MOST = 16; // times the size that fits
  static STEP = 1.25;

  constructor(stage, onChange) {
    this.stage = stage;
    this.onChange = onChange;
    this.panes = [stage.querySelector(".pane")];
    this.windowing = false; // whether dragging changes the window instead of the position
    this.pointers = new Map();
    this.ramps = [...stage.querySelectorAll(".window-ramp > *")];
    this.reset();
    stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.onDown(event));
    stage.addEventListener("pointermove", (event) => this.onMove(event));
    for (const type of ["pointerup", "pointercancel"]) stage.addEventListener(type, (event) => this.onUp(event));
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", (event) => this.zoomBy(this.view.zoom > 1 ? 1 / this.view.zoom : 3, event));
  }

  reset() {
    this.view = { zoom: 1, x: 0, y: 0 }; // x, y: the layers' corner, in sizes of the pane
    this.window = { centre: 0.5, width: 1, inverted: false }; // of the picture's grey, 0 to 1
    this.place();
    this.shade();
  }

  fit() {
    this.view = { zoom: 1, x: 0, y: 0 };
    this.place();
  }

  place() {
    const { zoom, x, y } = this.view;
    this.view.x = Math.min(0, Math.max(x, 1 - zoom));
    this.view.y = Math.min(0, Math.max(y, 1 - zoom));
    for (const pane of this.panes) {
      const { style } = pane.querySelector(".layers");
      [style.width, style.height] = [`${zoom * 100}%`, `${zoom * 100}%`];
      [style.left, style.top] = [`${this.view.x * 100}%`, `${this.view.y * 100}%`];
    }
    this.stage.classList.toggle("zoomed", zoom > 1);
    this.onChange(this);
  }

  /** Grey values outside the window become black or white. */
  shade() {
    const { centre, width, inverted } = this.window;
    const slope = (inverted ? -1 : 1) / width;
    const intercept = inverted ? 0.5 + centre / width : 0.5 - centre / width;
    for (const ramp of this.ramps) {
      ramp.setAttribute("slope", slope);
      ramp.setAttribute("intercept", intercept);
    }
    const filter = width === 1 && centre === 0.5 && !inverted ? "" : `url(#${this.stage.querySelector("filter").id})`;
    for (const pane of this.panes) pane.querySelector("img").style.filter = filter;
    this.onChange(this);
  }

  invert(inverted = !this.window.inverted) {
    this.window.inverted = inverted;
    this.shade();
  }

  /** Change the window by shares of the whole range of grey. */
  windowBy(wider, brighter) {
    const { width, centre } = this.window;
    this.window.width = Math.min(2, Math.max(0.02, width + wider));
    this.window.centre = Math.min(1.5, Math.max(-0.5, centre - brighter));
    this.shade();
  }

  /** Zoom about the point under the pointer, or about the middle. */
  zoomBy(factor, event) {
    const [x, y] = event ? this.inPane(event) : [0.5, 0.5];
    const zoom = Math.min(Viewer.MOST, Math.max(1, this.view.zoom * factor));
    const by = zoom / this.view.zoom;
    this.view = { zoom, x: x - (x - this.view.x) * by, y: y - (y - this.view.y) * by };
    this.place();
  }

  moveBy(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.place();
  }

  inPane({ clientX, clientY, target }) {
    const frame = (target.closest?.(".pane") ?? this.panes[0]).getBoundingClientRect();
    return [(clientX - frame.left) / frame.width, (clientY - frame.top) / frame.height];
  }

  onWheel(event) {
    if (event.ctrlKey && event.deltaY === 0) return;
    // Over an image that fits, the wheel scrolls the page as elsewhere, unless the image was clicked and the wheel zooms in.
    const asked = event.ctrlKey || (event.deltaY < 0 && this.stage.contains(document.activeElement));
    if (this.view.zoom === 1 && !asked) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), event);
  }

  onDown(event) {
    if (event.target.closest(".editing, button, a")) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const frame = this.panes[0].getBoundingClientRect();
    const x = (event.clientX - before.clientX) / frame.width;
    const y = (event.clientY - before.clientY) / frame.height;
    if (this.pointers.size === 2) this.pinch(event, before);
    else if (this.windowing !== event.shiftKey || event.buttons === 2) this.windowBy(x, y);
    else this.moveBy(x, y);
    this.pointers.set(event.pointerId, event);
  }

  pinch(event, before) {
    const other = [...this.pointers.values()].find((each) => each.pointerId !== event.pointerId);
    const far = ({ clientX, clientY }) => Math.hypot(clientX - other.clientX, clientY - other.clientY);
    this.zoomBy(far(event) / Math.max(1, far(before)), event);
  }

  onUp(event) {
    this.pointers.delete(event.pointerId);
  }

  /** Show or remove a second image next to the first; returns its pane. */
  beside(shown) {
    if (shown && this.panes.length === 1) {
      const pane = this.panes[0].cloneNode(true);
      pane.classList.add("second");
      for (const named of pane.querySelectorAll("[id]")) named.removeAttribute("id");
      for (const own of pane.querySelectorAll(".review-drawing")) own.remove();
      this.stage.append(pane);
      this.panes.push(pane);
    } else if (!shown && this.panes.length === 2) {
      this.panes.pop().remove();
    }
    this.stage.classList.toggle("two", shown);
    this.place();
    return this.panes[1];
  }
}
