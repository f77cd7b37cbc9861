// Requests that follow what somebody types or draws: only the newest state is worth an answer.
import { wasStopped } from "./api.js";

/** Runs `task(signal)` once `delay` ms have passed without another `ask()`; a newer one stops what runs.
 *
 * `done(answer)` and `failed(error)` hear of the newest only.
 */
export function createDebounced(task, { delay, done, failed }) {
  let timer = 0;
  let running = null;

  async function run() {
    running?.abort();
    const own = (running = new AbortController());
    try {
      const answer = await task(own.signal);
      if (own === running) done(answer);
    } catch (error) {
      if (own === running && !wasStopped(error)) failed(error);
    }
  }

  function stop() {
    clearTimeout(timer);
    running?.abort();
    running = null;
  }

  return {
    stop,
    ask({ now = false } = {}) {
      stop();
      if (now) run();
      else timer = setTimeout(run, delay);
    },
  };
}

/** Runs `task(signal)` at once, and at most every `interval` ms: what is asked for meanwhile runs once, after it. */
export function createThrottled(task, { interval, done, failed }) {
  let running = null;
  let asked = false;

  async function run() {
    asked = false;
    const own = (running = new AbortController());
    const pause = new Promise((resolve) => setTimeout(resolve, interval));
    try {
      const answer = await task(own.signal);
      if (own === running) done(answer);
    } catch (error) {
      if (own === running && !wasStopped(error)) failed(error);
    }
    await pause;
    if (own !== running) return;
    running = null;
    if (asked) run();
  }

  return {
    ask() {
      asked = true;
      if (!running) run();
    },
    stop() {
      running?.abort();
      running = null;
      asked = false;
    },
  };
}
