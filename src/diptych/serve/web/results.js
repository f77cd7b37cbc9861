// The results of one search: a line that says how it went, the grid, and the lightbox over it.
import { wasStopped } from "./api.js";
import { make } from "./dom.js";
import { createGrid } from "./grid.js";
import { createLightbox } from "./lightbox.js";
import { createPages } from "./pages.js";
import { requestBody } from "./query.js";
import { emptyState, failure, waiting } from "./states.js";

const TOP = 40; // hits a page: two screens of a large window

/** Results in `element`: `run(state)` searches and shows, `stop()` ends what runs. */
export function createResults(element, server, { pictures, onAlike, onTerm }) {
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
    if (!place.childElementCount) place.replaceChildren(waiting("Searching"));
    try {
      start(await pages.more());
    } catch (error) {
      if (wasStopped(error)) return;
      line.textContent = "";
      place.replaceChildren(failure(error, () => run(state)));
    }
    region.ariaBusy = "false";
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
    else line.append("Best match first");
  }

  function stop() {
    asked.abort();
    asked = new AbortController();
    grid?.stop();
    grid = null;
  }

  return { element: region, run, stop };
}
