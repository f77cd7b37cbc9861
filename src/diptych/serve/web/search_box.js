// The search's form: the box, what stands in line under it, and a line of notes.
import { icon, make } from "./dom.js";
import { pictureButton } from "./dropzone.js";

const isNarrow = matchMedia("(max-width: 34rem)");

/** The form's parts: `form` holds all, `chips` and `filters` are places for theirs.
 *
 * `onSubmit(words)` comes with Enter or the button, `onFiles(files)` with pictures that are picked.
 */
export function createSearchBox({ onSubmit, onFiles }) {
  const input = make("input", {
    type: "search",
    name: "q",
    className: "words",
    placeholder: isNarrow.matches ? "Describe a photo" : "Describe a photo, or drop one here",
    autocomplete: "off",
    enterKeyHint: "search",
    maxLength: 2000,
    ariaLabel: "What to look for",
  });
  const submit = make("button", { className: "primary" }, "Search");
  const picture = pictureButton("Search by a picture", onFiles, { className: "icon-button quiet", showsLabel: false });
  const [chips, filters] = [make("div", { className: "terms" }), make("div", { className: "filter-place" })];
  const opener = make(
    "button",
    { type: "button", className: "quiet small filter-opener", ariaExpanded: "false" },
    icon("filters"),
    "Filters",
  );
  const note = make("p", { className: "note pale", role: "status" });
  const form = make(
    "form",
    { className: "search-form", role: "search", ariaLabel: "Photos" },
    make("div", { className: "box" }, icon("search"), input, picture, submit),
    make("div", { className: "under-box" }, chips, opener),
    filters,
    note,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onSubmit(input.value);
  });
  return {
    form,
    chips,
    filters,
    opener,
    words: () => input.value,
    focus: () => input.focus(),
    say: (text) => (note.textContent = text),
    show: ({ words }) => (input.value = words),
    enable: (is) => (form.hidden = !is),
  };
}
