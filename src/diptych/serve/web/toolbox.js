// What to draw with: the tool, its colour and its size.
import { icon, iconButton, make } from "./dom.js";

const TOOLS = [["brush", "Brush"], ["fill", "Fill an area"], ["eraser", "Eraser"]];
export const COLORS = [
  ["#1d2024", "black"], ["#8c8f94", "grey"], ["#ffffff", "white"], ["#8a5a33", "brown"], ["#e8c9a0", "sand"],
  ["#d23b34", "red"], ["#ee8a2b", "orange"], ["#f7cf3c", "yellow"], ["#4d9b4a", "green"], ["#25613a", "dark green"],
  ["#8fc9ee", "light blue"], ["#2f6fb5", "blue"], ["#7c4da0", "purple"], ["#ee9db8", "pink"],
];
const SIZES = { smallest: 4, largest: 64, first: 14 }; // pixels of 512

/** The tools: `element` and `tool()`, which is { kind, color, size }. */
export function createToolbox({ onUndo, onClear }) {
  const state = { kind: "brush", color: COLORS[0][0], size: SIZES.first };
  const size = make("input", {
    type: "range",
    min: SIZES.smallest,
    max: SIZES.largest,
    value: SIZES.first,
    ariaLabel: "Size of the brush",
    on: { input: () => (state.size = Number(size.value)) },
  });
  const tools = choices("Tool", "tool", TOOLS.map(([kind, label]) => ({ value: kind, label, face: icon(kind) })), state.kind, (kind) => (state.kind = kind));
  const colors = choices("Colour", "color", COLORS.map(([color, label]) => ({ value: color, label, face: swatch(color) })), state.color, pickColor);
  const undo = iconButton("undo", "Undo", onUndo, "quiet");
  const clear = iconButton("bin", "Clear the sheet", onClear, "quiet");
  const element = make(
    "div",
    { className: "toolbox" },
    make("div", { className: "tool-row" }, tools, make("div", { className: "size" }, size), make("div", { className: "tool-actions" }, undo, clear)),
    colors,
  );

  function pickColor(color) {
    state.color = color;
    if (state.kind === "eraser") tools.querySelector("[value=brush]").click(); // a colour is for drawing
  }

  return { element, tool: () => state };
}

function choices(legend, name, options, first, onPick) {
  const items = options.map(({ value, label, face }) => {
    const input = make("input", { type: "radio", name, value, className: "visually-hidden", ariaLabel: label, checked: value === first });
    input.addEventListener("change", () => onPick(value));
    return make("label", { className: `choice ${name}`, title: label }, input, face);
  });
  return make("fieldset", { className: `choices ${name}s` }, make("legend", { className: "visually-hidden" }, legend), ...items);
}

function swatch(color) {
  const face = make("span", { className: "swatch" });
  face.style.background = color;
  return face;
}
