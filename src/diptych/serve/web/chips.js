// The terms of a search beside its words, each with a sign, a weight and a way to take it off.
import { openDraft } from "./chip_draft.js";
import { icon, make } from "./dom.js";
import { thumbnail } from "./hits.js";

const WEIGHTS = [1, 2, 0.5]; // what a press on the weight goes through

/** The chips in `element`: `show(terms)` draws them, `onChange(terms)` is told of every change by the user.
 *
 * `pictureOf(value)` gives { name, preview } of a picture, `nameOf(id)` a photo's name where it is known.
 */
export function createChips(element, { onChange, pictureOf, nameOf }) {
  const list = make("ul", { className: "chips", ariaLabel: "Terms of the search" });
  const adders = make("span", { className: "adders" }, adder(1, addWords), adder(-1, addWords));
  element.append(list, adders);
  let terms = [];

  function addWords(sign, button) {
    openDraft(list, sign, (words) => {
      if (words) onChange([...terms, { kind: "words", value: words, sign, weight: 1 }]);
      if (document.activeElement === document.body) button.focus();
    });
  }

  function change(index, part) {
    onChange(terms.map((term, i) => (i === index ? { ...term, ...part } : term)));
  }

  function remove(index) {
    onChange(terms.filter((_, i) => i !== index));
  }

  // Where the focus was, or the chip or button that is nearest to it now.
  function stay(key) {
    const same = list.querySelector(`[data-key="${key}"]`);
    return same ?? list.lastElementChild?.querySelector(".remove") ?? adders.firstElementChild;
  }

  return {
    show(next) {
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      terms = next;
      list.replaceChildren(...terms.map((term, index) => chip(term, index, { change, remove, pictureOf, nameOf })));
      if (focused) stay(focused).focus();
    },
  };
}

function adder(sign, onPress) {
  const wanted = sign > 0;
  const title = wanted ? "Add words to the search" : "Add words that must not fit";
  const props = { type: "button", className: "quiet small", title };
  const button = make("button", props, signIcon(sign), wanted ? "With" : "Without");
  button.addEventListener("click", () => onPress(sign, button));
  return button;
}

function chip(term, index, { change, remove, pictureOf, nameOf }) {
  const name = nameTerm(term, { pictureOf, nameOf });
  const wanted = term.sign > 0;
  const press = (className, title, content, onClick) => {
    const data = { key: `${index} ${className}` }; // for the focus, which stays there when all is drawn anew
    return make(
      "button",
      { type: "button", className, title, ariaLabel: title, data, on: { click: onClick } },
      content,
    );
  };
  const flip = wanted ? `With ${name}; press for without` : `Without ${name}; press for with`;
  const weigh = `Weight of ${name}: ${term.weight}; press to change`;
  const item = make(
    "li",
    { className: `chip ${wanted ? "wanted" : "unwanted"}` },
    press("sign", flip, signIcon(term.sign), () => change(index, { sign: -term.sign })),
    face(term, pictureOf),
    make("span", { className: "name" }, name),
    press("weight", weigh, `×${term.weight === 0.5 ? "½" : term.weight}`, () => change(index, nextWeight(term))),
    press("remove", `Remove ${name}`, icon("close"), () => remove(index)),
  );
  item.addEventListener("keydown", (event) => {
    if (event.key !== "Delete" && event.key !== "Backspace") return;
    event.preventDefault();
    remove(index);
  });
  return item;
}

function signIcon(sign) {
  return icon(sign > 0 ? "plus" : "minus");
}

function nextWeight({ weight }) {
  return { weight: WEIGHTS[(WEIGHTS.indexOf(weight) + 1) % WEIGHTS.length] };
}

function nameTerm({ kind, value }, { pictureOf, nameOf }) {
  if (kind === "picture") return pictureOf(value).name;
  return kind === "photo" ? (nameOf(value) ?? `photo ${value}`) : value;
}

function face({ kind, value }, pictureOf) {
  if (kind === "words") return null;
  const image = make("img", { alt: "", width: 28, height: 28 });
  image.addEventListener("error", () => image.replaceWith(icon("picture")));
  image.src = kind === "photo" ? thumbnail({ id: value }, 256) : pictureOf(value).preview;
  return image;
}
