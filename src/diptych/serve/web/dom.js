// Elements without innerHTML: what a name or a caption holds is always text.

/** A new element. `props` are DOM properties, but for `data`, `on` (listeners) and `attrs`; children are nodes or text. */
export function make(tag, props = {}, ...children) {
  const { on = {}, data = {}, attrs = {}, ...rest } = props;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(attrs)) if (value !== null) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM15.3 15.3 20 20",
  picture:
    "M4 6.5A1.5 1.5 0 0 1 5.5 5h13A1.5 1.5 0 0 1 20 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5ZM4 16l4.5-4.5L13 16l2.5-2.5L20 17.5M15.5 9.2h.01",
  alike: "M5 10c2.3-2.7 4.7-2.7 7 0s4.7 2.7 7 0M5 15.5c2.3-2.7 4.7-2.7 7 0s4.7 2.7 7 0",
  plus: "M12 6v12M6 12h12",
  minus: "M6 12h12",
  close: "M7 7l10 10M17 7 7 17",
  before: "M14.5 6 8.5 12l6 6",
  after: "M9.5 6l6 6-6 6",
  filters: "M4 7h16M7 12h10M10 17h4",
  brush:
    "M19.5 4.5c-3 1-7.5 5-9.5 8.2l1.8 1.8c3.2-2 7.2-6.5 7.7-10ZM9 13.8c-2 0-3 1.300-3.2 3-.1 1-.7 1.7-1.8 2.2 3 1 6.8.2 6.8-3.2Z",
  fill: "M11 4 4.5 10.5l6.2 6.2a1.5 1.5 0 0 0 2.100 0l4.900-4.900a1.5 1.5 0 0 0 0-2.100L11 4ZM5 11.5h12.5M20 15.5c-1 1.5-1.5 2.300-1.5 3a1.5 1.5 0 0 0 3 0c0-.7-.5-1.5-1.5-3Z",
  eraser:
    "M8.5 19.5H20M13 6 5 14a1.5 1.5 0 0 0 0 2.100l3.400 3.400h3.100l7.5-7.5a1.5 1.5 0 0 0 0-2.100L15.100 6A1.5 1.5 0 0 0 13 6ZM9 10l6 6",
  undo: "M8.5 5 4.5 9l4 4M4.5 9h9a5.5 5.5 0 0 1 0 11H9",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.400L17 7M10.5 10.5v6M13.5 10.5v6",
};

/** A line icon by name, hidden from screen readers: the control around it has the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }))
    svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon, whose label is said and shown as a tooltip. */
export function iconButton(name, label, onClick, className = "") {
  return make(
    "button",
    { type: "button", className: `icon-button ${className}`, title: label, ariaLabel: label, on: { click: onClick } },
    icon(name),
  );
}

/** `1 photo`, `2,300 photos`. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
