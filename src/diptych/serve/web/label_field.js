// Labels as chips in a box, with an input at their end. What is still being typed counts as a label already.
import { icon, make } from "./dom.js";

const SEPARATORS = /[\n\r,;\t]+/;
const LONGEST = 200; // characters; what a label is, not what a server takes

/** A field of labels: `element`, `set(labels)`, `labels()`, which ends with the one being typed, and `draft()`.
 *
 * `onChange()` is called for every letter.
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
  list.append(last);
  let kept = [];

  const typed = () => input.value.trim();
  const labels = () => [...new Set([...kept, typed()])].filter(Boolean);

  function show() {
    for (const old of list.querySelectorAll(".label-chip")) old.remove();
    last.before(...kept.map(chip)); // the input stays where it is: moved, it would lose the focus
  }

  function add(text) {
    kept = [...new Set([...kept, ...text.split(SEPARATORS).map((part) => part.trim().slice(0, LONGEST))])].filter(Boolean);
    input.value = "";
    show();
    onChange();
  }

  function remove(index) {
    kept = kept.filter((_, i) => i !== index);
    show();
    (list.children[index]?.querySelector(".remove") ?? input).focus();
    onChange();
  }

  function edit(index) {
    const name = kept[index];
    const draft = typed();
    kept = kept.filter((_, i) => i !== index);
    if (draft && !kept.includes(draft)) kept.push(draft);
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

  input.addEventListener("input", () => (SEPARATORS.test(input.value) ? add(input.value) : onChange()));
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
      kept = [...next];
      input.value = "";
      show();
    },
  };
}
