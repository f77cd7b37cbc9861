// Pictures from the user: dropped, pasted or picked.
import { icon, make } from "./dom.js";

/** Calls `onFiles` with the picture files that are dropped or pasted, anywhere on the page, while `element` is in sight.
 *
 * The element has the class `dropping` while something hovers. `onRefused` is told, in words, of what is no picture.
 */
export function receivePictures(element, onFiles, { signal, onRefused = () => {} } = {}) {
  let depth = 0; // dragenter and dragleave come for every child, too
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    element.classList.toggle("dropping", depth > 0);
  };
  const take = (transfer) => {
    const files = pictureFiles(transfer.files);
    if (files.length) onFiles(files);
    else onRefused("That is not a picture file. Drop a JPEG, PNG, WebP or HEIC.");
  };
  const on = (name, listener) =>
    document.addEventListener(name, (event) => element.checkVisibility() && listener(event), { signal });
  on("dragenter", (event) => holdsFiles(event) && mark(1));
  on("dragover", (event) => {
    if (holdsFiles(event)) event.dataTransfer.dropEffect = "copy";
  });
  on("dragleave", (event) => holdsFiles(event) && mark(-1));
  on("drop", (event) => {
    if (!holdsFiles(event)) return;
    mark(-depth);
    take(event.dataTransfer);
  });
  on("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData);
  });
}

/** Keeps the browser from opening a file that is dropped on the page in the page's place. Comes before those that take
 * files. */
export function forbidDrops(page) {
  for (const name of ["dragenter", "dragover", "drop"])
    page.addEventListener(name, (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    });
}

function holdsFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

function pictureFiles(files) {
  return [...files].filter(
    (file) => file.type.startsWith("image/") || /\.(heic|heif|avif|jxl|tiff?)$/i.test(file.name),
  );
}

/** A button that opens the system's chooser of pictures; `className` and `label` are its own. */
export function pictureButton(label, onFiles, { multiple = true, className = "", showsLabel = true } = {}) {
  const input = make("input", { type: "file", accept: "image/*,.heic,.heif", multiple, hidden: true });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file may be picked again
    if (files.length) onFiles(files);
  });
  const text = make("span", { className: showsLabel ? "" : "visually-hidden" }, label);
  const button = make(
    "button",
    { type: "button", className, title: label, on: { click: () => input.click() } },
    icon("picture"),
    text,
  );
  return make("span", { className: "picture-button" }, button, input);
}
