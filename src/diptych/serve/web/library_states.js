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

/** Where there is a library with nothing in it that could be found. `onIndex()` comes when its folders shall be read. */
export function emptyLibrary(library, onIndex) {
  const [title, text] = explain(library);
  if (library.job?.state === "running") return emptyState(title, [text], link("See how far it is"));
  if (!library.roots.length) return emptyState(title, [text, ...indexingCommands()]);
  const press = make("button", { type: "button", className: "primary", on: { click: onIndex } }, "Index the photos");
  return emptyState(title, [text], press, link("Go to the library"));
}

/** The two ways to index where the page has no folder that it may, each a paragraph's text and nodes. */
export function indexingCommands() {
  return [
    ["On the server's machine: ", make("code", {}, "diptych index ~/Pictures --library LIBRARY")],
    [
      "Or start the server anew, and index from here: ",
      make("code", {}, "diptych serve --library LIBRARY --root pictures=$HOME/Pictures"),
    ],
  ];
}

function link(label) {
  return make("a", { href: "#library" }, label);
}

function explain({ photos, job }) {
  if (job?.state === "running")
    return ["The photos are being indexed", "They can be found as soon as the first ones are in."];
  if (job?.state === "failed") return ["The photos could not be indexed", job.detail];
  if (photos)
    return ["The photos are not indexed for this model", "Bring the library up to date, and they can be found."];
  return ["The library is empty", "Index a folder of photos, and they can be found by what is in them."];
}
