// The panel of filters: what the library has, and nothing that it lacks.
import { make } from "./dom.js";
import { FILTERS, blankState, countFilters } from "./query.js";

const DATE = /^\s*\d{4}(-\d\d(-\d\d)?)?\s*$/;
const PLACE = /^\s*(-?\d{1,2}(?:\.\d+)?)\s*[,\s]\s*(-?\d{1,3}(?:\.\d+)?)\s*$/;
const KM = "10"; // around a place, where nothing else is said
const WRONG = {
  since: "Write a year, a month or a day: 2024, 2024-05 or 2024-05-31.",
  until: "Write a year, a month or a day: 2024, 2024-05 or 2024-05-31.",
  place: "Write latitude, longitude, such as 48.86, 2.35.",
};
const OPERATORS = {
  "=": "is",
  "!=": "is not",
  "~": "contains",
  "<": "less than",
  "<=": "at most",
  ">": "more than",
  ">=": "at least",
};

/** The panel in `element` with its `opener`, a button elsewhere: `show(next, library)` fills it in with a state.
 *
 * `onChange({ filters, fields })` is told of each valid change; `read()` gives what the controls hold, valid or not.
 */
export function createFilters(element, opener, onChange) {
  const body = make("div", {
    className: "filter-fields",
    id: "filter-fields",
    role: "group",
    ariaLabel: "Filters",
    hidden: true,
  });
  let state = blankState();
  element.append(body);
  opener.setAttribute("aria-controls", body.id);
  opener.addEventListener("click", () => {
    if (!body.hidden && !isValid(body)) return; // out of sight it would keep the form from being sent, without a word
    body.hidden = !body.hidden;
    opener.ariaExpanded = String(!body.hidden);
  });
  body.addEventListener("input", ({ target }) => check(target));
  body.addEventListener("change", () => isValid(body) && onChange(read(body, state)));
  return {
    read: () => read(body, state),
    show(next, library) {
      state = next;
      const number = countFilters(state);
      opener.lastChild.textContent = number ? `Filters (${number})` : "Filters";
      const focused = body.contains(document.activeElement) ? document.activeElement.name : null;
      body.replaceChildren(...controls(library, state), clear(number, onChange));
      if (focused) body.querySelector(`[name="${focused}"]`)?.focus();
    },
  };
}

function controls(library, { filters, fields }) {
  const text = (name, label, props) =>
    field(label, make("input", { name, value: filters[name] ?? "", ...props }), props.hint);
  const choice = (name, label, values) =>
    values.length > 1 && field(label, select(name, ["", ...values], filters[name] ?? ""));
  const date = {
    type: "text",
    placeholder: "2024-05",
    title: "2024, 2024-05 or 2024-05-31",
    autocomplete: "off",
  };
  return [
    text("since", "Taken since", date),
    text("until", "Taken until", date),
    choice(
      "root",
      "Folder",
      library.roots.map(({ name }) => name),
    ),
    library.cameras?.length > 0 && field("Camera", select("camera", ["", ...library.cameras], filters.camera ?? "")),
    choice("format", "Format", library.formats ?? []),
    text("min_side", "Shorter side at least", { type: "number", min: 1, step: 1, placeholder: "pixels" }),
    text("place", "Near", {
      type: "text",
      placeholder: "48.86, 2.35",
      title: "Latitude and longitude in degrees",
      autocomplete: "off",
    }),
    text("km", "Within km", { type: "number", min: 0.001, step: "any", placeholder: KM }),
    ...fieldRows(library.fields ?? [], fields),
  ].filter(Boolean);
}

// One row more than there are, to be filled in next.
function fieldRows(names, fields) {
  if (!names.length) return [];
  return [...fields, { name: "", op: "=", value: "" }].map(({ name, op, value }, i) =>
    make(
      "fieldset",
      { className: "field-row" },
      make("legend", {}, i ? `Field ${i + 1}` : "Field of the catalogue"),
      labelled("Field", select(`field${i}`, ["", ...names], name)),
      labelled("Comparison", select(`op${i}`, Object.keys(OPERATORS), op, OPERATORS)),
      labelled(
        "Value",
        make("input", { name: `value${i}`, value, type: "text", placeholder: "value", autocomplete: "off" }),
      ),
    ),
  );
}

function field(label, control, hint = null) {
  return make("label", { className: "field" }, label, control, hint && make("span", { className: "hint" }, hint));
}

function labelled(label, control) {
  control.ariaLabel = label;
  return control;
}

function select(name, values, chosen, labels = {}) {
  const known = values.includes(chosen) ? values : [...values, chosen]; // what a link names may be gone
  const options = known.map((value) =>
    make("option", { value, selected: value === chosen }, labels[value] ?? (value || "any")),
  );
  return make("select", { name }, ...options);
}

function clear(number, onChange) {
  const press = () => onChange({ filters: {}, fields: [] });
  return make(
    "button",
    { type: "button", className: "quiet clear", disabled: !number, on: { click: press } },
    "Clear filters",
  );
}

function isValid(body) {
  return [...body.querySelectorAll("input, select")].every((control) => (check(control), control.reportValidity()));
}

// In words of our own: the browser's say that a pattern is not matched.
function check(control) {
  const text = control.value;
  const isWrong =
    control.name === "place" ? !isPlace(text) : control.name in WRONG && !DATE.test(text);
  control.setCustomValidity(text.trim() && isWrong ? WRONG[control.name] : "");
}

function isPlace(text) {
  const [, latitude, longitude] = PLACE.exec(text) ?? [];
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
}

// What a link filters by and the library has no control for stays as it is.
function read(body, state) {
  const value = (name) => (body.querySelector(`[name="${name}"]`)?.value ?? state.filters[name] ?? "").trim();
  const rows = [...body.querySelectorAll(".field-row")].map((_, i) => ({
    name: value(`field${i}`),
    op: value(`op${i}`),
    value: value(`value${i}`),
  }));
  const filters = Object.fromEntries(FILTERS.map((name) => [name, value(name)]).filter(([, text]) => text));
  const { km, ...others } = filters;
  return {
    filters: filters.place ? { ...others, km: km ?? KM } : others, // a distance is from something
    fields: rows.length ? rows.filter((row) => row.name && row.value) : state.fields,
  };
}
