// The sentence that a label is put into: one of the published sets by its name, or one's own with {}.
import { make } from "./dom.js";

const OWN = "own";
const PUBLISHED = [
  ["", "a photo of a {}."],
  ["imagenet-7", "photos in general: 7 sentences (imagenet-7)"],
  ["imagenet", "photos in general: 80 sentences (imagenet)"],
  ["oxford-pets", "pets (oxford-pets)"],
  ["oxford-flowers", "flowers (oxford-flowers)"],
  ["food101", "food (food101)"],
  ["stanford-cars", "cars (stanford-cars)"],
  ["fgvc-aircraft", "aircraft (fgvc-aircraft)"],
  ["dtd", "textures (dtd)"],
  ["fer2013", "faces' expressions (fer2013)"],
  ["gtsrb", "traffic signs (gtsrb)"],
  ["country211", "countries (country211)"],
  ["eurosat", "satellite photos (eurosat)"],
  ["resisc45", "aerial photos (resisc45)"],
];

/** Whether a template says where the label goes, once. */
export function isTemplate(text) {
  return text.split("{}").length === 2;
}

/** A field of the template: `element`, `value()` (a name, a sentence, or "" for the usual one) and `set(value)`.
 *
 * `value()` is null while one's own sentence has no {}; `onChange()` is called for every change.
 */
export function createTemplateField({ id, onChange }) {
  const select = make(
    "select",
    { id },
    ...PUBLISHED.map(([value, text]) => new Option(text, value)),
    new Option("my own sentence…", OWN),
  );
  const own = make("input", { type: "text", maxLength: 300, value: "a drawing of a {}.", ariaLabel: "Your own sentence, with {} for the label", attrs: { "aria-describedby": `${id}-wrong` } });
  const wrong = make("p", { id: `${id}-wrong`, className: "hint wrong", role: "status" });
  const element = make("div", { className: "field" }, make("label", { htmlFor: id }, "In the sentence"), select, own, wrong);

  function show() {
    own.hidden = select.value !== OWN;
    const fits = own.hidden || isTemplate(own.value);
    own.setAttribute("aria-invalid", String(!fits));
    wrong.textContent = fits ? "" : "Write {} once, where the label goes.";
  }

  function changed() {
    show();
    onChange();
  }

  select.addEventListener("change", () => {
    changed();
    if (!own.hidden) own.select();
  });
  own.addEventListener("input", changed);
  show();

  return {
    element,
    value() {
      if (select.value !== OWN) return select.value;
      return isTemplate(own.value) ? own.value.trim() : null;
    },
    set(value) {
      const isKnown = PUBLISHED.some(([name]) => name === value);
      select.value = isKnown ? value : OWN;
      if (!isKnown) own.value = value;
      show();
    },
  };
}
