// The Library view: what is in it, bringing it up to date, and what could not be read.
import { count, make } from "./dom.js";
import { createFailures } from "./failures.js";
import { createJob, describeEnd } from "./job.js";
import { indexingCommands, noLibrary } from "./library_states.js";
import { failure, showFailure, waiting } from "./states.js";

/** Mounts the Library view; what it returns is told when it comes into sight and leaves it. */
export function mount(element, server) {
  const place = make("div", {});
  const line = make("p", { className: "library-line", role: "status" });
  const problems = make("div", {});
  const roots = make("ul", { className: "roots" });
  const head = make("div", { className: "library-head" });
  const job = createJob(server, { onEnd: (ended) => (tell(ended), load()) });
  const failures = createFailures(server, { onRetry: () => index({ retry_failures: true }) });
  element.append(make("h1", { className: "visually-hidden" }, "Library"), place);
  const view = [head, line, problems, job.element, roots, failures.element];

  function tell(job) {
    line.textContent = describeEnd(job);
  }

  async function load() {
    if (!head.isConnected) place.replaceChildren(waiting("Loading the library"));
    try {
      if (!(await server.facts()).has_library) return place.replaceChildren(noLibrary());
      show(await server.get("v1/library"));
      await failures.load();
    } catch (error) {
      showFailure(place, error, load);
    }
  }

  function show(library) {
    if (!head.isConnected) place.replaceChildren(...view);
    const running = library.job?.state === "running";
    head.replaceChildren(...headline(library, running, () => index({})));
    roots.replaceChildren(...library.roots.map((root) => rootCard(root, running, () => index({ roots: [root.name] }))));
    failures.enable(!running && library.roots.length > 0);
    if (running) job.follow(library.job);
    else job.rest();
  }

  async function index(request) {
    problems.replaceChildren();
    line.textContent = "Starting…";
    try {
      job.follow(await server.post("v1/index", request));
      line.textContent = "Bringing the library up to date.";
      show(await server.get("v1/library"));
    } catch (error) {
      line.textContent = "";
      problems.replaceChildren(failure(error, () => index(request)));
    }
  }

  return {
    show: load,
    hide: () => job.pause(),
  };
}

function headline({ photos, model, roots }, running, onAll) {
  const all = make(
    "button",
    { type: "button", className: "primary", disabled: running, on: { click: onAll } },
    "Bring all up to date",
  );
  return [
    make(
      "div",
      {},
      make("p", { className: "total" }, count(photos, "photo")),
      make("p", { className: "pale" }, photos ? `Indexed with ${model}` : "Nothing is indexed yet"),
    ),
    roots.length ? all : make("div", { className: "pale commands" }, ...indexingCommands().map((way) => make("p", {}, ...way))),
  ];
}

function rootCard({ name, kind, photos, failures, scanned_at: scannedAt }, running, onIndex) {
  const label = `Bring ${name} up to date`;
  const press = make(
    "button",
    { type: "button", disabled: running, title: label, ariaLabel: label, on: { click: onIndex } },
    "Bring up to date",
  );
  const facts = [
    count(photos, "photo"),
    failures ? count(failures, "failure") : null,
    scannedAt ? `read ${when(scannedAt)}` : "not read yet",
  ];
  return make(
    "li",
    { className: "card root" },
    make(
      "div",
      {},
      make("h2", {}, name),
      make("p", { className: "pale" }, [kind, ...facts].filter(Boolean).join(" · ")),
    ),
    press,
  );
}

function when(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
