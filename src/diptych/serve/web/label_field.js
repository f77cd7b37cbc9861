// Labels as chips in a box, with an input at their end. What is still being typed counts as a label already.
import { icon, make } from "./dom.js";

const SEPARATORS = /[\n\r,;\t]+/;
const LONGEST = 200; // characters; what a label is, not what a server takes

/** A field of labels: `element`, `set(labels)`, `labels()`, which ends with the one being typed, and `draft()`.
 *
 * A label is taken once, whatever its capitals. `onChange()` is called for every letter.
 */
export function createLabelField({ id, onChange }) {
  const list = make("ul", { className: "label-chips", ariaLabel: "Entered so far" });
  const input = make("input", {
    id,
    type: "text",
    maxLength: LONGEST,
    autocomplete: "off",
    spellcheck: false,
    enterKeyHint: "done",
    placeholder: "type a label",
    attrs: { "aria-describedby": `${id}-hint` },
  });
  const element = make("div", { className: "label-field", on: { click: (event) => event.target === element && input.focus() } }, list);
  const last = make("li", { className: "label-input" }, input);
  const said = make("p", { className: "label-said pale", role: "status" });
  list.append(last);
  element.append(said);
  let kept = [];

  const typed = () => input.value.trim();
  const labels = () => distinct([...kept, typed()]).labels;

  function keep(names) {
    const { labels: once, again } = distinct(names);
    kept = once;
    sayAgain(again);
  }

  function sayAgain(again) {
    said.textContent = again.length ? `${again.join(", ")}: there already.` : "";
  }

  function show() {
    for (const old of list.querySelectorAll(".label-chip")) old.remove();
    last.before(...kept.map(chip)); // the input stays where it is: moved, it would lose the focus
  }

  function add(text) {
    keep([...kept, ...text.split(SEPARATORS).map((part) => part.trim().slice(0, LONGEST))]);
    input.value = "";
    show();
    onChange();
  }

  function remove(index) {
    keep(kept.filter((_, i) => i !== index));
    show();
    (list.children[index]?.querySelector(".remove") ?? input).focus();
    onChange();
  }

  function edit(index) {
    const name = kept[index];
    const draft = typed();
    keep([...kept.filter((_, i) => i !== index), draft]);
    input.value = name;
    show();
    input.focus();
    onChange();
  }

  function chip(name, index) {
    return make(
      "li",
      { className: "label-chip" },
      make("button", { type: "button", className: "edit", title: `Change ${name}`, on: { click: () => edit(index) } }, name),
      make("button", { type: "button", className: "remove", ariaLabel: `Remove ${name}`, on: { click: () => remove(index) } }, icon("close")),
    );
  }

  input.addEventListener("input", () => {
    if (SEPARATORS.test(input.value)) return add(input.value);
    sayAgain(distinct([...kept, typed()]).again);
    onChange();
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text");
    if (!SEPARATORS.test(text)) return;
    event.preventDefault(); // an input would make one line of many
    add(input.value + text);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (typed()) add(input.value);
    } else if (event.key === "Backspace" && !input.value && kept.length) {
      event.preventDefault();
      edit(kept.length - 1);
    }
  });
  show();

  return {
    element,
    labels,
    draft: typed,
    focus: () => input.focus(),
    set(next) {
      keep(next);
      input.value = "";
      show();
    },
  };
}

// Names without those that differ from an earlier one in capitals only, and which these are.
function distinct(names) {
  const labels = new Map();
  const again = new Set();
  for (const name of names.filter(Boolean)) {
    const key = name.normalize("NFC").toLowerCase();
    if (labels.has(key)) again.add(name);
    else labels.set(key, name);
  }
  return { labels: [...labels.values()], again: [...again] };
}
