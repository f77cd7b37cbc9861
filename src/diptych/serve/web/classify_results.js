// What the Classify view answers: bars of the labels, apart from them the chance that none holds, and what went wrong.
import { createBars, percent } from "./bars.js";
import { make } from "./dom.js";
import { failure, waiting } from "./states.js";

const HOLDS = 0.5; // by itself, from this probability on
const SPEECH_PAUSE = 700; // ms: not every letter's answer is said
const SHARED = "Of the labels offered: together the bars are 100%.";
const BY_ITSELF = "Each by itself: every bar may reach 100%.";

/** The result: `element`, `wait()`, `clear()`, `fail(error)` and `show(answer, { draft, each, name })`.
 *
 * `again()` asks once more, `remove()` takes away the picture that the server cannot read, whose name is `name`.
 */
export function createResultList({ again, remove }) {
  const place = make("div", { className: "result-bars" });
  const caption = make("p", { className: "bars-caption pale" });
  const bars = createBars(place);
  const note = make("div", { className: "fit-note" });
  const none = make("div", { className: "none-of-these" });
  const spoken = make("p", { className: "visually-hidden", role: "status" });
  const instead = make("div"); // of the bars: a failure, or a sign of waiting
  const element = make("section", { className: "classify-results", ariaLabel: "Result", hidden: true }, instead, note, caption, place, none, spoken);
  let timer = 0;

  function speak(text) {
    hush();
    timer = setTimeout(() => (spoken.textContent = text), SPEECH_PAUSE);
  }

  function hush() {
    clearTimeout(timer);
    spoken.textContent = "";
  }

  function showInstead(notice) {
    hush();
    element.hidden = false;
    element.removeAttribute("aria-busy");
    place.hidden = caption.hidden = none.hidden = true;
    note.replaceChildren();
    instead.replaceChildren(notice);
  }

  return {
    element,
    fail: (error) => showInstead(failure(error, again)),
    wait() {
      if (element.hidden || place.hidden) showInstead(waiting("Classifying"));
      element.setAttribute("aria-busy", "true");
    },
    clear() {
      hush();
      element.hidden = true;
    },
    show(answer, { draft, each, name }) {
      if (answer.error) return showInstead(unreadable(answer.error, name, remove));
      element.hidden = place.hidden = caption.hidden = false;
      element.removeAttribute("aria-busy");
      instead.replaceChildren();
      note.replaceChildren(...noteOn(answer, each));
      caption.textContent = each ? BY_ITSELF : SHARED;
      bars.update(rowsOf(answer, draft));
      none.hidden = !Number.isFinite(answer.none_of_these);
      if (!none.hidden) none.replaceChildren(...chanceOfNone(answer.none_of_these));
      speak(summary(answer, each));
    },
  };
}

// Asking again would not help: the picture has to go.
function unreadable({ detail }, name, remove) {
  const isLarge = /pixels are more than/.test(detail);
  const reason = isLarge ? "has more pixels than the server takes" : "is damaged or is no picture";
  const notice = failure({ title: `${name} ${reason}: remove it.`, message: "" });
  notice.append(make("button", { type: "button", on: { click: remove } }, "Remove it"));
  return notice;
}

function rowsOf({ labels }, draft) {
  // The label being typed is one row, however its name grows.
  return labels.map((label) => ({ ...label, key: label.name === draft ? "\n" : label.name }));
}

// A disc and no bar: it shares nothing with the bars.
function chanceOfNone(chance) {
  const disc = make("span", { className: "disc", ariaHidden: "true" });
  disc.style.setProperty("--share", chance);
  const name = make("p", {}, make("span", { className: "name" }, "None of these"), ": the chance that no label fits the picture");
  return [disc, name, make("span", { className: "number" }, percent(chance))];
}

function noteOn({ fits, labels }, each) {
  if (each && !labels.some(({ probability }) => probability >= HOLDS))
    return [make("p", { className: "notice" }, "None of the labels holds by itself.")];
  if (fits !== false) return [];
  const text = "The bars share 100% among your labels, so one of them always leads, even where all are wrong. Try other labels.";
  return [make("div", { className: "notice none-fits" }, make("p", {}, make("strong", {}, "None of these labels seems to fit."), ` ${text}`))];
}

function summary({ labels, fits }, each) {
  const first = labels.slice(0, 3).map(({ name, probability }) => `${name} ${percent(probability)}`);
  return `${fits === false && !each ? "None of the labels seems to fit. " : ""}${first.join(", ")}`;
}
