// The indexing that runs: how far it is, how long it may take, and a way to stop it.
import { count, make } from "./dom.js";
import { failure } from "./states.js";

const EVERY = 1_000; // milliseconds between two looks

/** A card for one job, hidden while none runs. `follow(job)` shows it until it ends, which `onEnd(job)` is told of. */
export function createJob(server, { onEnd }) {
  const title = make("h2", {});
  const bar = make("progress", { ariaLabel: "Progress of indexing", max: 1 });
  const numbers = make("p", { className: "pale number" });
  const stop = make("button", { type: "button", on: { click: end } }, "Stop");
  const problem = make("div", {});
  const element = make(
    "section",
    { className: "card job", ariaLabel: "Indexing", hidden: true },
    title,
    stop,
    bar,
    numbers,
    problem,
  );
  let [current, timer] = [null, null];

  function follow(job) {
    clearTimeout(timer);
    current = job;
    element.hidden = job.state !== "running";
    if (element.hidden) return onEnd(job);
    draw(job);
    timer = setTimeout(look, EVERY);
  }

  function draw(job) {
    title.textContent = `Bringing ${job.roots.join(", ") || "the library"} up to date`;
    if (job.total) bar.value = job.done / job.total;
    else bar.removeAttribute("value"); // files are still being counted
    numbers.textContent = describeProgress(job);
    stop.disabled = false;
    problem.replaceChildren();
  }

  async function look() {
    try {
      follow(await server.get(`v1/jobs/${current.id}`));
    } catch (error) {
      if (error.status === 404) return follow({ ...current, state: "lost" }); // jobs end with the server that ran them
      problem.replaceChildren(failure(error, look));
    }
  }

  async function end() {
    stop.disabled = true;
    try {
      await server.remove(`v1/jobs/${current.id}`);
      await look();
    } catch (error) {
      stop.disabled = false;
      problem.replaceChildren(failure(error, end));
    }
  }

  return {
    element,
    follow,
    /** Looks no more, until the next job to follow. */
    pause: () => clearTimeout(timer),
    /** Says that none runs. */
    rest() {
      clearTimeout(timer);
      element.hidden = true;
    },
  };
}

/** How far a job is, in a line: `1,250 of 5,000 files · 170 a second · 12 min left`. */
export function describeProgress({ total, done, failed, rate, eta_seconds: eta }) {
  const parts = [total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")} files` : "Looking for files"];
  if (rate) parts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en")} a second`);
  if (eta !== null && eta !== undefined) parts.push(`${duration(eta)} left`);
  if (failed) parts.push(`${failed.toLocaleString("en")} could not be read`);
  return parts.join(" · ");
}

/** How a job ended, in a line: `Up to date: 3 files looked into, 1 moved, 2 removed.` */
export function describeEnd({ state, done, failed, moved, removed, detail }) {
  const end = { done: "Up to date", stopped: "Stopped", failed: "Indexing failed", lost: "The server was started anew, which ended it" }[state] ?? state;
  const parts = [done ? `${count(done, "file")} looked into` : "nothing was new"];
  if (moved) parts.push(`${moved.toLocaleString("en")} moved`);
  if (removed) parts.push(`${removed.toLocaleString("en")} removed`);
  if (failed) parts.push(`${failed.toLocaleString("en")} could not be read`);
  return `${end}: ${parts.join(", ")}.${detail ? ` ${detail}` : ""}`;
}

/** Seconds as people say them: `40 s`, `3 min`, `2 h 10 min`. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
