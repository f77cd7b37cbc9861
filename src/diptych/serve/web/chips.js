// The terms of a search beside its words, each with a sign, a weight and a way to take it off.
import { icon, make } from "./dom.js";
import { thumbnail } from "./hits.js";

const WEIGHTS = [1, 2, 0.5]; // what a press on the weight goes through

/** The chips in `element`: `show(terms)` draws them, `onChange(terms)` is told of every change by the user.
 *
 * `pictureOf(term)` gives { name, preview } of a picture, `nameOf(id)` a photo's name where it is known.
 */
export function createChips(element, { onChange, pictureOf, nameOf }) {
  const list = make("ul", { className: "chips", ariaLabel: "Terms of the search" });
  const adders = make("span", { className: "adders" }, adder(1), adder(-1));
  element.append(list, adders);
  let terms = [];

  function adder(sign) {
    const label = sign > 0 ? "With" : "Without";
    const hint = sign > 0 ? "Add words to the search" : "Add words that must not fit";
    return make("button", { type: "button", className: "quiet small", title: hint, on: { click: () => draft(sign) } }, icon(sign > 0 ? "plus" : "minus"), label);
  }

  function draft(sign) {
    list.querySelector(".draft")?.remove();
    const input = make("input", { type: "text", maxLength: 500, ariaLabel: sign > 0 ? "Words to add" : "Words that must not fit", enterKeyHint: "done" });
    const item = make("li", { className: `chip draft ${sign > 0 ? "wanted" : "unwanted"}` }, icon(sign > 0 ? "plus" : "minus"), input);
    let open = true;
    const done = (keeps) => {
      if (!open) return; // taking it off blurs it, which ends here again
      open = false;
      item.remove();
      if (keeps && input.value.trim()) onChange([...terms, { kind: "words", value: input.value.trim(), sign, weight: 1 }]);
      if (document.activeElement === document.body) adders.children[sign > 0 ? 0 : 1].focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); // the form's own Enter would search before the chip is there
      done(event.key === "Enter");
    });
    input.addEventListener("blur", () => done(true));
    list.append(item);
    input.focus();
  }

  function change(index, part) {
    onChange(terms.map((term, i) => (i === index ? { ...term, ...part } : term)));
  }

  function remove(index) {
    onChange(terms.filter((_, i) => i !== index));
  }

  function chip(term, index) {
    const name = nameTerm(term, { pictureOf, nameOf });
    const press = (className, label, content, onClick) =>
      make("button", { type: "button", className, title: label, ariaLabel: label, data: { key: `${index} ${className}` }, on: { click: onClick } }, content);
    const wanted = term.sign > 0;
    const item = make(
      "li",
      { className: `chip ${wanted ? "wanted" : "unwanted"}` },
      press("sign", wanted ? `With ${name}; press for without` : `Without ${name}; press for with`, icon(wanted ? "plus" : "minus"), () => change(index, { sign: -term.sign })),
      face(term, { pictureOf }),
      make("span", { className: "name" }, name),
      press("weight number", `Weight of ${name}: ${term.weight}; press to change`, `×${term.weight === 0.5 ? "½" : term.weight}`, () => change(index, { weight: nextWeight(term.weight) })),
      press("remove", `Remove ${name}`, icon("close"), () => remove(index)),
    );
    item.addEventListener("keydown", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      remove(index);
    });
    return item;
  }

  // Where the focus was, or the chip or button that is nearest to it now.
  function stay(key) {
    return list.querySelector(`[data-key="${key}"]`) ?? list.lastElementChild?.querySelector(".remove") ?? adders.firstElementChild;
  }

  return {
    show(next) {
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      terms = next;
      list.replaceChildren(...terms.map(chip));
      if (focused) stay(focused).focus();
    },
  };
}

function nextWeight(weight) {
  return WEIGHTS[(WEIGHTS.indexOf(weight) + 1) % WEIGHTS.length];
}

function nameTerm({ kind, value }, { pictureOf, nameOf }) {
  if (kind === "picture") return pictureOf(value).name;
  return kind === "photo" ? (nameOf(value) ?? `photo ${value}`) : value;
}

function face({ kind, value }, { pictureOf }) {
  if (kind === "words") return null;
  const image = make("img", { alt: "", width: 28, height: 28 });
  image.addEventListener("error", () => image.replaceWith(icon("picture")));
  image.src = kind === "photo" ? thumbnail({ id: value }, 256) : pictureOf(value).preview;
  return image;
}
