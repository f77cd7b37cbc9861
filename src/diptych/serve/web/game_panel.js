// The game beside the sheet: the word, the clock, the score, and what is said of them.
import { make } from "./dom.js";
import { createGame, SECONDS } from "./game.js";

const TICK = 200; // ms
const WARNINGS = [30, 10]; // seconds left that are said
const PLACES = ["", "first", "second", "third", "fourth", "fifth"];

/** A game over `words`: `element`, `ready()`, `judge(rows)`, `target()`, `takesDrawings()`, `pause()` and `resume()`.
 *
 * It can be started once it has been told that all is ready.
 *
 * `onRound()` is called when a word is given, `onEnd()` when its round is over.
 */
export function createGamePanel(words, { onRound, onEnd }) {
  const game = createGame(words, { now: () => performance.now() / 1000 });
  const task = make("p", { className: "task" });
  const time = make("span", { className: "time number", role: "timer", ariaLabel: "Seconds left" });
  const clock = make("span", { className: "clock", ariaHidden: "true" }, make("span", { className: "fill" }));
  const score = make("p", { className: "score pale number" });
  const outcome = make("p", { className: "outcome" });
  const go = make("button", { type: "button", className: "primary", disabled: true, on: { click: next } });
  const skip = make("button", { type: "button", className: "quiet", on: { click: next } }, "Skip");
  const spoken = make("p", { className: "visually-hidden", role: "status" });
  const element = make(
    "div",
    { className: "game card" },
    make("div", { className: "task-row" }, task, time),
    clock,
    outcome,
    make("div", { className: "game-row" }, go, skip, score),
    spoken,
  );
  let timer = 0;
  let warned = SECONDS;
  let lastPlace = null;

  function next() {
    game.next();
    [warned, lastPlace] = [SECONDS, null];
    onRound();
    say(`Draw: ${game.state().word}. ${SECONDS} seconds.`);
    run();
  }

  function run() {
    clearInterval(timer);
    timer = setInterval(tick, TICK);
    show();
  }

  function tick() {
    const before = game.state().phase;
    game.tick();
    warn();
    if (before === "drawing" && game.state().phase === "over") end();
    show();
  }

  function warn() {
    const { phase, secondsLeft } = game.state();
    const due = WARNINGS.find((seconds) => secondsLeft <= seconds && warned > seconds);
    if (phase !== "drawing" || due === undefined) return;
    warned = due;
    say(`${due} seconds left.`);
  }

  function end() {
    const leavesFocus = document.activeElement === skip; // which goes; a focus elsewhere is not taken from a hand that draws
    clearInterval(timer);
    onEnd();
    show();
    say(outcome.textContent);
    if (leavesFocus) go.focus();
  }

  function say(text) {
    spoken.textContent = text;
  }

  function show() {
    const { phase, word, secondsLeft, score: points, streak } = game.state();
    const isOn = phase === "drawing" || phase === "paused";
    element.dataset.phase = phase;
    task.replaceChildren(...(word ? ["Draw: ", make("strong", {}, word)] : ["Paint the word, and get it to the top of the list."]));
    time.textContent = Math.ceil(secondsLeft);
    clock.style.setProperty("--share", secondsLeft / SECONDS);
    clock.classList.toggle("short", secondsLeft <= 10);
    outcome.textContent = describe(game.state(), words.length);
    go.hidden = isOn;
    go.textContent = go.disabled ? "Getting ready…" : phase === "ready" ? "Start" : "Next word";
    skip.hidden = !isOn;
    score.textContent = `Score ${points}${streak > 1 ? ` · ${streak} in a row` : ""}`;
  }

  show();
  return {
    element,
    ready() {
      go.disabled = false;
      show();
    },
    takesDrawings: () => ["ready", "drawing"].includes(game.state().phase),
    target: () => game.state().word,
    judge(rows) {
      const { phase, word } = game.state();
      if (phase !== "drawing") return;
      const place = rows.findIndex(({ name }) => name === word) + 1;
      game.judge(place);
      if (game.state().phase === "won") return end();
      if (place !== lastPlace && place <= 5) say(`${word} is ${PLACES[place]}.`);
      lastPlace = place;
      show();
    },
    pause() {
      clearInterval(timer);
      game.pause();
    },
    resume() {
      game.resume();
      if (game.state().phase === "drawing") run();
    },
  };
}

function describe({ phase, rank, points, word }, count) {
  if (phase === "won") return `Got it: ${word} is first. ${points} points.`;
  if (phase === "over") return rank && rank <= 5 ? `Time is up: ${word} is ${PLACES[rank]}. ${points} points.` : `Time is up: ${word} is not among the first five.`;
  if (phase !== "drawing") return "";
  if (!rank) return "Colours help: fill large areas.";
  return `It is ${rank <= 5 ? PLACES[rank] : `number ${rank}`} of ${count} now.`;
}
