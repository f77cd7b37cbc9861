// One photo, large, with what is known of it. Arrow keys go on; Escape and the browser's Back close.
import { wasStopped } from "./api.js";
import { icon, iconButton, make } from "./dom.js";
import { shortName } from "./hits.js";
import { createLargePhoto } from "./large_photo.js";
import { describePhoto } from "./photo_facts.js";

/** A lightbox in `element`. `open(pages, index, more)` shows a hit of pages (pages.js), `more()` fetches the next.
 *
 * `onAlike(hit)` and `onTerm(hit, sign)` are as for the grid; `onClose(index)` is told where the user left off.
 */
export function createLightbox(element, server, { onAlike, onTerm, onClose }) {
  const title = make("h2", { id: "lightbox-title" });
  const details = make("dl", {});
  const [before, after] = [
    iconButton("before", "Previous photo", () => go(-1), "before"),
    iconButton("after", "Next photo", () => go(1), "after"),
  ];
  const original = make("a", { className: "button", target: "_blank", rel: "noopener" }, "Open the original");
  const photo = createLargePhoto(server);
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
  const stage = make("div", { className: "stage" }, photo.element, before, after);
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
  let then = () => {}; // once it is closed

  function action(shape, label, act, className = "") {
    const press = () => {
      const hit = pages.hits[index];
      then = () => act(hit);
      dialog.close();
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
    offerOriginal(`v1/photos/${hit.id}/original`);
    photo.show(hit);
    details.replaceChildren(...describePhoto(hit));
    asked.abort();
    asked = new AbortController();
    checkOriginal(asked.signal);
    try {
      const facts = await server.get(`v1/photos/${hit.id}`, { signal: asked.signal });
      details.replaceChildren(...describePhoto({ ...facts, ...hit }));
    } catch (error) {
      if (!wasStopped(error)) details.append(make("dt", {}, "Details"), make("dd", {}, error.message));
    }
  }

  // The small pictures are kept, so they do not tell whether the file is there: its first byte is asked for.
  async function checkOriginal(signal) {
    try {
      await server.get(original.getAttribute("href"), { signal, cache: "no-store", headers: { Range: "bytes=0-0" } });
    } catch (error) {
      if (error.status !== 404 && error.status !== 403) return;
      offerOriginal(null);
      if (error.slug === "file-gone") photo.say("The file is no longer there. Bring its folder up to date in the library.");
    }
  }

  function offerOriginal(address) {
    if (address) original.href = address;
    else original.removeAttribute("href"); // which makes it a link that leads nowhere, and is said to be disabled
    original.ariaDisabled = String(!address);
  }

  function closed() {
    const act = then;
    then = () => {};
    onClose(index);
    act();
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
    photo.stop();
    if (!history.state?.showsPhoto) return closed();
    window.addEventListener("popstate", closed, { once: true }); // what comes next must not land on the photo's step
    history.back();
  });
  window.addEventListener("popstate", () => dialog.close());

  return {
    open(all, at, next) {
      [pages, index, more] = [all, at, next];
      history.pushState({ showsPhoto: true }, ""); // a step of its own, for Back to undo
      dialog.showModal();
      show();
    },
  };
}
