// What is shown where there is no library, or nothing in it.
import { make } from "./dom.js";
import { emptyState } from "./states.js";

/** Where the server has no library at all. */
export function noLibrary() {
  return emptyState("No library here", [
    "This server was started without a library of photos, so there is nothing to search.",
    ["Start it with one: ", make("code", {}, "diptych serve --library photos.diptych --root holiday=Pictures")],
    "Classify and Draw work without.",
  ]);
}

/** Where there is a library with nothing in it that could be found. */
export function emptyLibrary(library) {
  const [title, text] = explain(library);
  return emptyState(title, [text], make("a", { className: "button primary", href: "#library" }, "Go to the library"));
}

function explain({ photos, job }) {
  if (job?.state === "running")
    return ["The photos are being indexed", "They can be found as soon as the first ones are in."];
  if (photos)
    return ["The photos are not indexed for this model", "Bring the library up to date, and they can be found."];
  return ["The library is empty", "Index a folder of photos, and they can be found by what is in them."];
}
