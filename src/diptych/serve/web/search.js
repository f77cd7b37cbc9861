// The Search view. Its state is in the link: what the user does changes the link, and the link says what is shown.
import { createChips } from "./chips.js";
import { make } from "./dom.js";
import { receivePictures } from "./dropzone.js";
import { createFilters } from "./filters.js";
import { emptyLibrary, noLibrary } from "./library_states.js";
import { readPicture } from "./picture.js";
import { isEmpty, readState, writeState } from "./query.js";
import { createResults } from "./results.js";
import { createSearchBox } from "./search_box.js";
import { invitation } from "./search_states.js";
import { showFailure, waiting } from "./states.js";

const WHILE_INDEXING = 2_000; // milliseconds until an empty library that is being indexed is looked at again

/** Mounts the Search view; what it returns is told of the link's parameters. */
export function mount(element, server) {
  const pictures = new Map(); // dropped ones by number: a link cannot keep them
  const names = new Map(); // of photos that were seen, for their chips
  let library = null;
  let stale = false; // the library may have grown since
  let state = readState(new URLSearchParams());
  let timer = 0;
  let shown = null; // the parameters that the results are of

  const box = createSearchBox({ onSubmit: (words) => go({ words, ...(shown !== null && filters.read()) }, true), onFiles: addPictures });
  const chips = createChips(box.chips, {
    onChange: (terms) => go({ words: box.words(), terms }),
    pictureOf: (value) => pictures.get(value),
    nameOf: (id) => names.get(id),
  });
  const body = make("div", { className: "search-body" });
  const results = createResults(body, server, { pictures, onAlike: alike, onTerm: addTerm, onRemove: removeTerms });
  const filters = createFilters(box.filters, box.opener, (part) => go({ words: box.words(), ...part }));
  element.append(make("h1", { className: "visually-hidden" }, "Search"), box.form, body); // not in the form, which may be hidden
  receivePictures(element, addPictures, { onRefused: box.say });

  function go(part, again = false) {
    state = { ...state, ...part }; // at once: Enter in a filter is a change and a search, before show() comes
    const params = writeState(state);
    const hash = `#search${params.size ? `?${params}` : ""}`;
    if (hash !== (location.hash || "#search"))
      location.hash = hash; // and show() follows
    else if (again && shown === String(params)) run();
  }

  async function addPictures(files) {
    box.say("Reading the picture…");
    try {
      const terms = [];
      for (const picture of await Promise.all(files.map((file) => readPicture(file, server)))) {
        const value = `${Date.now().toString(36)}${pictures.size}`;
        pictures.set(value, picture);
        terms.push({ kind: "picture", value, sign: 1, weight: 1 });
      }
      go({ words: box.words(), terms: [...state.terms, ...terms] });
    } catch {
      box.say("That file could not be read.");
    }
  }

  function alike(hit) {
    names.set(String(hit.id), hit.name.split("/").pop());
    go({ words: "", terms: [photoTerm(hit, 1)] });
  }

  function addTerm(hit, sign) {
    names.set(String(hit.id), hit.name.split("/").pop());
    const others = state.terms.filter(({ kind, value }) => kind !== "photo" || value !== String(hit.id));
    go({ words: box.words(), terms: [...others, photoTerm(hit, sign)] });
  }

  function removeTerms(terms) {
    go({ words: box.words(), terms: state.terms.filter((term) => !terms.some(({ value }) => value === term.value)) });
    box.focus();
  }

  async function loadLibrary() {
    if (library && !stale) return true;
    try {
      library = (await server.facts()).has_library ? await server.get("v1/library") : null;
    } catch (error) {
      showFailure(body, error, tryAgain);
      return false;
    }
    if (!library) {
      body.replaceChildren(noLibrary());
      return false;
    }
    stale = !library.photos || !library.has_vectors;
    if (stale) body.replaceChildren(emptyLibrary(library, index));
    if (stale && library.job?.state === "running") timer = setTimeout(showAgain, WHILE_INDEXING);
    return !stale;
  }

  async function index() {
    body.replaceChildren(waiting("Starting"));
    try {
      await server.post("v1/index", {});
      await showAgain();
    } catch (error) {
      showFailure(body, error, tryAgain);
    }
  }

  function tryAgain() {
    body.replaceChildren(waiting());
    return showAgain();
  }

  function showAgain() {
    return show(new URLSearchParams(location.hash.split("?")[1]));
  }

  function forgetLostPictures() {
    const kept = state.terms.filter(({ kind, value }) => kind !== "picture" || pictures.has(value));
    const lost = kept.length < state.terms.length;
    state = { ...state, terms: kept };
    const holds = kept.some(({ kind }) => kind === "picture");
    box.say(
      lost
        ? "A picture of this link was not kept: drop it again."
        : holds
          ? "The link does not keep pictures that you drop."
          : "",
    );
  }

  async function show(params) {
    clearTimeout(timer);
    state = readState(params);
    forgetLostPictures();
    box.show(state);
    chips.show(state.terms);
    if (!library) body.replaceChildren(waiting());
    if (!(await loadLibrary())) return box.enable(false);
    box.enable(true);
    filters.show(state, library);
    if (shown !== String(params) || !body.contains(results.element)) run(String(params));
  }

  function run(params = shown) {
    shown = params;
    if (!isEmpty(state)) return results.run(state);
    results.stop();
    body.replaceChildren(invitation(library, (words) => go({ words })));
  }

  function hide() {
    clearTimeout(timer);
    stale = true;
  }

  return { show, hide };
}

function photoTerm({ id }, sign) {
  return { kind: "photo", value: String(id), sign, weight: 1 };
}
