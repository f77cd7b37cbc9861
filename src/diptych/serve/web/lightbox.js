// One photo, large, with what is known of it. Arrow keys go on, Escape closes.
import { wasStopped } from "./api.js";
import { icon, iconButton, make } from "./dom.js";
import { shortName, thumbnail } from "./hits.js";
import { describePhoto } from "./photo_facts.js";

/** A lightbox in `element`. `open(pages, index, more)` shows a hit of pages (pages.js), `more()` fetches the next.
 *
 * `onAlike(hit)` and `onTerm(hit, sign)` are as for the grid; `onClose(index)` is told where the user left off.
 */
export function createLightbox(element, server, { onAlike, onTerm, onClose }) {
  const image = make("img", { className: "large", decoding: "async" });
  const title = make("h2", { id: "lightbox-title" });
  const details = make("dl", {});
  const [before, after] = [
    iconButton("before", "Previous photo", () => go(-1), "before"),
    iconButton("after", "Next photo", () => go(1), "after"),
  ];
  const original = make("a", { className: "button", target: "_blank", rel: "noopener" }, "Open the original");
  const aside = make(
    "div",
    { className: "facts" },
    title,
    details,
    make(
      "div",
      { className: "facts-actions" },
      action("alike", "More like this", (hit) => onAlike(hit), "primary"),
      action("plus", "Add to search", (hit) => onTerm(hit, 1)),
      action("minus", "Less like this", (hit) => onTerm(hit, -1)),
      original,
    ),
  );
  const stage = make("div", { className: "stage" }, image, before, after);
  const close = iconButton("close", "Close", () => dialog.close(), "close");
  const dialog = make(
    "dialog",
    { className: "lightbox", tabIndex: -1, autofocus: true, attrs: { "aria-labelledby": "lightbox-title" } },
    stage,
    aside,
    close,
  );
  element.append(dialog);
  let [pages, index, more] = [null, 0, null];
  let asked = new AbortController();

  function action(shape, label, act, className = "") {
    const press = () => {
      const hit = pages.hits[index];
      dialog.close();
      act(hit);
    };
    return make("button", { type: "button", className, on: { click: press } }, icon(shape), label);
  }

  async function go(step) {
    if (index + step >= pages.hits.length) await more();
    if (!dialog.open || !pages.hits[index + step]) return;
    index += step;
    await show();
  }

  async function show() {
    const hit = pages.hits[index];
    // Not `disabled`, which would take the focus, and with it the arrow keys, out of the dialog.
    before.ariaDisabled = String(index === 0);
    after.ariaDisabled = String(pages.ended && index === pages.hits.length - 1);
    title.textContent = shortName(hit);
    original.href = `v1/photos/${hit.id}/original`;
    showImage(image, hit);
    details.replaceChildren(...describePhoto(hit));
    asked.abort();
    asked = new AbortController();
    try {
      const facts = await server.get(`v1/photos/${hit.id}`, { signal: asked.signal });
      details.replaceChildren(...describePhoto({ ...facts, ...hit }));
    } catch (error) {
      if (!wasStopped(error)) details.append(make("dt", {}, "Details"), make("dd", {}, error.message));
    }
  }

  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(step);
  });
  dialog.addEventListener("click", (event) => (event.target === dialog || event.target === stage) && dialog.close());
  dialog.addEventListener("close", () => {
    asked.abort();
    onClose(index);
  });

  return {
    open(all, at, next) {
      [pages, index, more] = [all, at, next];
      dialog.showModal();
      show();
    },
  };
}

// The small picture, which is there already, stands in until the large one has come.
function showImage(image, hit) {
  const side = Math.max(innerWidth, innerHeight) * devicePixelRatio > 1200 ? 2048 : 1024;
  image.alt = hit.text || hit.name;
  [image.width, image.height] = [hit.width, hit.height];
  image.style.setProperty("--small", `url("${new URL(thumbnail(hit, 512), document.baseURI)}")`);
  image.src = thumbnail(hit, side);
}
