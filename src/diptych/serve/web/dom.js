// Elements without innerHTML: what a name or a caption holds is always text.

/** A new element: `props` are DOM properties, `data` and `on` (listeners) apart, `attrs` attributes; children are nodes or text. */
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
  picture: "M4 6.5A1.5 1.5 0 0 1 5.5 5h13A1.5 1.5 0 0 1 20 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5ZM4 16l4.5-4.5L13 16l2.5-2.5L20 17.5M15.5 9.2h.01",
  alike: "M5 10c2.3-2.7 4.7-2.7 7 0s4.7 2.7 7 0M5 15.5c2.3-2.7 4.7-2.7 7 0s4.7 2.7 7 0",
  plus: "M12 6v12M6 12h12",
  minus: "M6 12h12",
  close: "M7 7l10 10M17 7 7 17",
  before: "M14.5 6 8.5 12l6 6",
  after: "M9.5 6l6 6-6 6",
  filters: "M4 7h16M7 12h10M10 17h4",
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
