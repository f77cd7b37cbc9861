// The results of one search: a line that says how it went, the grid, and the lightbox over it.
import { wasStopped } from "./api.js";
import { make } from "./dom.js";
import { createGrid } from "./grid.js";
import { createLightbox } from "./lightbox.js";
import { createPages } from "./pages.js";
import { requestBody } from "./query.js";
import { emptyState, failure, waiting } from "./states.js";

const TOP = 40; // hits a page: two screens of a large window

/** Results in `element`: `run(state)` searches and shows, `stop()` ends what runs.
 *
 * `onRemove(terms)` comes when the terms of pictures that cannot be read shall go. */
export function createResults(element, server, { pictures, onAlike, onTerm, onRemove }) {
  const line = make("p", { className: "result-line", role: "status" });
  const place = make("div", { className: "result-place" });
  const region = make("section", { className: "results", ariaLabel: "Results", tabIndex: -1 }, line, place);
  let [grid, pages, asked] = [null, null, new AbortController()];
  const lightbox = createLightbox(element.parentElement ?? document.body, server, {
    onAlike: moveOn(onAlike),
    onTerm: moveOn(onTerm),
    onClose: (index) => grid?.focus(index),
  });

  // What had the focus is about to go, and the new results are what the user wants next.
  function moveOn(act) {
    return (...args) => {
      act(...args);
      region.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    };
  }

  async function run(state) {
    stop();
    const { signal } = asked;
    const load = (page) => server.post("v1/search", requestBody(state, pictures, page), { signal });
    pages = createPages(load, TOP);
    if (!region.isConnected) element.replaceChildren(region); // moving it would take the focus from it
    line.textContent = "Searching…";
    region.ariaBusy = "true";
    if (!place.querySelector(".grid, .waiting")) place.replaceChildren(waiting("Searching"));
    try {
      start(await pages.more());
    } catch (error) {
      if (wasStopped(error)) return;
      line.textContent = "";
      place.replaceChildren(explain(error, state));
    }
    region.ariaBusy = "false";
  }

  function explain(error, state) {
    const terms = unreadTerms(error, state);
    if (!terms.length) return failure(error, () => run(state));
    const names = terms.map(({ value }) => pictures.get(value).name);
    const many = terms.length > 1;
    return failure(
      { title: many ? "Pictures cannot be read:" : "A picture cannot be read:", message: `${names.join(", ")}.` },
      () => onRemove(terms),
      many ? "Remove them" : "Remove it",
    );
  }

  function start({ nothing_matches: nothingMatches }) {
    if (!pages.hits.length) {
      line.textContent = "";
      return place.replaceChildren(emptyState("No photos here", ["No photo passes these filters."]));
    }
    grid = createGrid(place, {
      onOpen: (index) => lightbox.open(pages, index, next),
      onAlike: moveOn(onAlike),
      onTerm: moveOn(onTerm),
      onEnd: next,
    });
    if (nothingMatches) grid.dim();
    grid.add(pages.hits);
    tell(nothingMatches);
    if (!pages.ended) grid.watch();
  }

  async function next() {
    const [current, known] = [pages, pages.hits.length];
    if (pages.ended) return;
    grid.end.replaceChildren(waiting("Loading more"));
    try {
      await current.more();
    } catch (error) {
      if (!wasStopped(error)) grid.end.replaceChildren(failure(error, next));
      return;
    }
    if (current !== pages || known === pages.hits.length) return;
    grid.end.replaceChildren();
    grid.add(pages.hits.slice(known));
    if (pages.ended) grid.stop();
    else grid.watch();
  }

  function tell(nothingMatches) {
    line.replaceChildren();
    if (nothingMatches) line.append(make("strong", {}, "Nothing matches."), " The nearest photos are shown below.");
    else if (pages.hits[0].relevance !== null) line.append("Best match first");
    else line.append("Nearest first, by cosine (-1 to 1). Whether a photo matches is measured for plain words only.");
  }

  function stop() {
    asked.abort();
    asked = new AbortController();
    grid?.stop();
    grid = null;
  }

  return { element: region, run, stop };
}

// Problems count the pictures in the order in which they were sent.
function unreadTerms({ slug, items = [] }, { terms }) {
  if (slug !== "image-unreadable") return [];
  const sent = terms.filter(({ kind }) => kind === "picture");
  return items.map(({ index }) => sent[index]).filter(Boolean);
}
