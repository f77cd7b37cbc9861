// The photos that were found, in rows of equal height. The rows are CSS (search.css, `.grid`): photos give their ratio.
import { iconButton, make } from "./dom.js";
import { clock, relevance, shortName, thumbnail } from "./hits.js";

const [NARROWEST, WIDEST] = [0.6, 2.6]; // beyond, a photo is cropped in the grid
const FEW_AT_ONCE = 8; // of the first page, which is in sight: the rest load when they come near

/** A grid in `element`. `onOpen(index)` shows a hit large, `onAlike(hit)` looks for more like it, `onTerm(hit, sign)`
 * adds it to the query, and `onEnd()` is called when the end comes in sight. */
export function createGrid(element, { onOpen, onAlike, onTerm, onEnd }) {
  const list = make("ul", { className: "grid" });
  const end = make("div", { className: "grid-end" });
  const watcher = new IntersectionObserver(([entry]) => entry.isIntersecting && onEnd(), { rootMargin: "900px" });
  let shown = 0;
  element.replaceChildren(list, end);
  return {
    end,
    add(hits) {
      list.append(...hits.map((hit, i) => cell(hit, shown + i, { onOpen, onAlike, onTerm })));
      shown += hits.length;
    },
    dim: () => list.classList.add("dim"),
    focus: (index) => list.children[index]?.querySelector("button").focus(),
    /** Looks anew whether the end is in sight: after a page that did not fill the window it still is. */
    watch() {
      watcher.unobserve(end);
      watcher.observe(end);
    },
    stop: () => watcher.disconnect(),
  };
}

function cell(hit, index, { onOpen, onAlike, onTerm }) {
  const name = shortName(hit);
  const open = make(
    "button",
    { type: "button", className: "open", on: { click: () => onOpen(index) } },
    photo(hit, index),
  );
  if (hit.second !== null && hit.second !== undefined)
    open.append(make("span", { className: "second" }, clock(hit.second)));
  const item = make(
    "li",
    { className: "hit" },
    open,
    make("p", { className: "caption" }, make("span", { className: "name", title: hit.name }, name), relevance(hit)),
    make(
      "div",
      { className: "actions" },
      iconButton("alike", `More like ${name}`, () => onAlike(hit)),
      iconButton("plus", `Add ${name} to the search`, () => onTerm(hit, 1), "extra"),
      iconButton("minus", `Less like ${name}`, () => onTerm(hit, -1), "extra"),
    ),
  );
  item.style.setProperty("--ratio", Math.min(WIDEST, Math.max(NARROWEST, hit.width / hit.height)));
  return item;
}

function photo(hit, index) {
  const image = make("img", {
    alt: hit.text || hit.name,
    loading: index < FEW_AT_ONCE ? "eager" : "lazy",
    decoding: "async",
    draggable: false,
    width: hit.width,
    height: hit.height,
  });
  image.addEventListener("error", () => image.closest(".hit").classList.add("lost"));
  image.src = thumbnail(hit, 512); // after loading and the size, which must hold from the first byte on
  return image;
}
