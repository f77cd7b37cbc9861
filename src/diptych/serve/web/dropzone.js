// Pictures from the user: dropped, pasted or picked.
import { icon, make } from "./dom.js";

const LARGEST_SENT = 1_500_000; // bytes: above this a picture is made smaller before it is sent
const SIDE = 1024; // pixels: several times what any model sees

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

/** A picture ready to be sent: its name, `uri` (a data URI for the server) and `preview` (for an img element). */
export async function readPicture(file) {
  const name = file.name || "pasted picture";
  const typed = file.type ? file : new Blob([file], { type: "image/heic" }); // a system may not know the newer formats
  const small = file.size > LARGEST_SENT ? await smaller(typed) : typed;
  return { name, uri: await dataUri(small), preview: URL.createObjectURL(small) };
}

// A format that the browser cannot decode goes to the server as it is.
async function smaller(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file;
  }
  const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
  const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? file), "image/jpeg", 0.92));
}

function dataUri(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}
