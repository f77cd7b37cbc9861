// A sheet of paper to draw on, with a mouse, a pen, a finger or the arrow keys.
import { flood } from "./flood.js";
import { make } from "./dom.js";

const SIDE = 512; // pixels of the sheet
const SENT = 256; // and of what is sent: no model here sees more in a drawing
const PAPER = "#ffffff";
const UNDOABLE = 30;
const STEP = 10; // pixels for a press of an arrow key

/** A sheet: `element`, `undo()`, `clear()`, `renew()` (with nothing to undo), `enable(is)`, `focus()`,
 * `isBlank()` and `uri()`, a PNG.
 *
 * `tool()` says with what: { kind: "brush" | "fill" | "eraser", color: "#rrggbb", size in pixels }.
 * `onChange()` is called while a line grows, too.
 */
export function createSketch({ tool, onChange }) {
  const canvas = make("canvas", { width: SIDE, height: SIDE, className: "sheet", tabIndex: 0, role: "application", ariaLabel: "Drawing. Arrow keys move the pen, Space sets it down and lifts it." });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const pointer = make("span", { className: "pen-point", hidden: true });
  const element = make("div", { className: "sheet-frame" }, canvas, pointer);
  let past = []; // sheets to go back to
  let blank = true;
  let line = null; // the last two points of the line being drawn
  let at = { x: SIDE / 2, y: SIDE / 2 }; // of the keys' pen
  let enabled = true;

  pen.lineCap = pen.lineJoin = "round";
  paint();

  function paint() {
    pen.fillStyle = PAPER;
    pen.fillRect(0, 0, SIDE, SIDE);
  }

  function empty() {
    paint();
    blank = true;
    onChange();
  }

  function remember() {
    past.push({ image: pen.getImageData(0, 0, SIDE, SIDE), blank });
    if (past.length > UNDOABLE) past.shift();
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * SIDE) / box.width, y: ((event.clientY - box.top) * SIDE) / box.height };
  }

  function begin(point) {
    remember();
    blank = false;
    if (tool().kind === "fill") return fill(point);
    line = [point, point];
    extend(point);
  }

  // Curves through the middles of what was reported: a quick hand makes no corners.
  function extend(point) {
    const [before, last] = line;
    const { kind, color, size } = tool();
    pen.strokeStyle = kind === "eraser" ? PAPER : color;
    pen.lineWidth = size;
    pen.beginPath();
    pen.moveTo(...middle(before, last));
    pen.quadraticCurveTo(last.x, last.y, ...middle(last, point));
    pen.lineTo(point.x, point.y);
    pen.stroke();
    line = [last, point];
    onChange();
  }

  function fill({ x, y }) {
    const image = pen.getImageData(0, 0, SIDE, SIDE);
    const [column, row] = [x, y].map((value) => Math.min(SIDE - 1, Math.max(0, Math.floor(value))));
    flood(image, column, row, channels(tool().color));
    pen.putImageData(image, 0, 0);
    onChange();
  }

  function end() {
    line = null;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!enabled || !event.isPrimary || event.button !== 0) return;
    event.preventDefault(); // no text is selected, and the page does not scroll
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!line || !event.isPrimary) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) extend(place(move));
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, end);

  canvas.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!enabled || event.ctrlKey || event.metaKey || !(direction || event.key === " ")) return;
    event.preventDefault();
    if (direction) move(direction, event.shiftKey ? STEP / 5 : STEP);
    else if (line) end();
    else begin(at);
    showPointer();
  });
  canvas.addEventListener("blur", () => {
    end();
    pointer.hidden = true;
  });
  canvas.addEventListener("keyup", showPointer);

  function move([right, down], step) {
    const within = (value) => Math.min(SIDE, Math.max(0, value));
    at = { x: within(at.x + right * step), y: within(at.y + down * step) };
    if (line) extend(at);
  }

  function showPointer() {
    pointer.hidden = !canvas.matches(":focus-visible");
    pointer.classList.toggle("down", Boolean(line));
    pointer.style.left = `${(100 * at.x) / SIDE}%`;
    pointer.style.top = `${(100 * at.y) / SIDE}%`;
  }

  return {
    element,
    isBlank: () => blank,
    focus: () => canvas.focus({ preventScroll: true }),
    undo() {
      end();
      const before = past.pop();
      if (!before) return;
      pen.putImageData(before.image, 0, 0);
      blank = before.blank;
      onChange();
    },
    clear() {
      end();
      if (!blank) remember();
      empty();
    },
    renew() {
      end();
      past = [];
      empty();
    },
    enable(is) {
      enabled = is;
      if (!is) end();
      element.classList.toggle("resting", !is);
    },
    uri() {
      const small = make("canvas", { width: SENT, height: SENT });
      small.getContext("2d").drawImage(canvas, 0, 0, SENT, SENT);
      return small.toDataURL("image/png");
    },
  };
}

function middle(a, b) {
  return [(a.x + b.x) / 2, (a.y + b.y) / 2];
}

function channels(color) {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
}
