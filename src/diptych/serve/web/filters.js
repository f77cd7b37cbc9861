// The panel of filters: what the library has, and nothing that it lacks.
import { make } from "./dom.js";
import { countFilters } from "./query.js";

const DATE = String.raw`\d{4}(-\d\d(-\d\d)?)?`;
const PLACE = String.raw`\s*-?\d{1,2}(\.\d+)?\s*[,\s]\s*-?\d{1,3}(\.\d+)?\s*`;
const OPERATORS = {
  "=": "is",
  "!=": "is not",
  "~": "contains",
  "<": "less than",
  "<=": "at most",
  ">": "more than",
  ">=": "at least",
};

/** The panel in `element` with its `opener`, a button elsewhere: `show(state, library)` fills it in.
 *
 * `onChange({ filters, fields })` is told of each valid change.
 */
export function createFilters(element, opener, onChange) {
  const body = make("div", {
    className: "filter-fields",
    id: "filter-fields",
    role: "group",
    ariaLabel: "Filters",
    hidden: true,
  });
  element.append(body);
  opener.setAttribute("aria-controls", body.id);
  opener.addEventListener("click", () => {
    body.hidden = !body.hidden;
    opener.ariaExpanded = String(!body.hidden);
  });
  body.addEventListener("change", () => changed(body, onChange));
  return {
    show(state, library) {
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
    pattern: DATE,
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
      pattern: PLACE,
      placeholder: "48.858, 2.294",
      title: "Latitude and longitude in degrees",
      autocomplete: "off",
    }),
    text("km", "Within km", { type: "number", min: 0.001, step: "any", placeholder: "10" }),
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

function changed(body, onChange) {
  const controls = [...body.querySelectorAll("input, select")];
  if (!controls.every((control) => control.reportValidity())) return;
  const value = (name) => body.querySelector(`[name="${name}"]`)?.value.trim() ?? "";
  const names = ["since", "until", "camera", "format", "min_side", "place", "km", "root"];
  const rows = [...body.querySelectorAll(".field-row")].map((_, i) => ({
    name: value(`field${i}`),
    op: value(`op${i}`),
    value: value(`value${i}`),
  }));
  onChange({
    filters: Object.fromEntries(names.map((name) => [name, value(name)]).filter(([, text]) => text)),
    fields: rows.filter((row) => row.name && row.value),
  });
}
