// What a drawing is taken for: bars beside the sheet, and one line above it for where they are out of sight.
import { createBars, percent } from "./bars.js";
import { make } from "./dom.js";
import { failure, waiting } from "./states.js";

const SHOWN = 6; // rows, and the word's own where it stands lower
const NOTHING_YET = "Looks like nothing yet";
const LOOKING = "Looking…";
const SMALL_MODEL = "The model here is the small one that comes with Diptych: it takes many drawings for something else. A full-size model plays better.";

/** The ranking: `element`, `glance` (the line), `clear()`, `wait()`, `rest()`, `fail(error, again)`, `show(rows, target)` and
 * `sayModel({ isSmall })`. */
export function createRanking() {
  const place = make("div", { hidden: true });
  const bars = createBars(place);
  const invitation = make("p", { className: "pale" }, "What the model takes your drawing for stands here while you draw.");
  const wrong = make("div", { hidden: true });
  const sign = make("div", { hidden: true }, waiting("Looking at the drawing"));
  const model = make("p", { className: "small-model pale", hidden: true }, SMALL_MODEL);
  const element = make("section", { className: "ranking", ariaLabel: "Ranking" }, make("h2", {}, "It looks like"), invitation, sign, wrong, place, model);
  const glance = make("p", { className: "glance" }, NOTHING_YET);

  function only(shown) {
    element.ariaBusy = String(shown === sign);
    for (const each of [place, invitation, sign, wrong]) each.hidden = each !== shown;
  }

  function clear() {
    only(invitation);
    glance.textContent = NOTHING_YET;
  }

  return {
    element,
    glance,
    clear,
    // What was seen before stays until it is known better.
    wait() {
      element.ariaBusy = "true";
      if (invitation.hidden) return;
      only(sign);
      glance.textContent = LOOKING;
    },
    rest() {
      element.ariaBusy = "false";
      if (!sign.hidden) clear();
    },
    fail(error, again) {
      if (wrong.hidden) wrong.replaceChildren(failure(error, again)); // a button is not replaced while it is pressed
      only(wrong);
      glance.textContent = error.title ?? "Something went wrong";
    },
    show(rows, target) {
      const first = rows.slice(0, SHOWN);
      const own = rows.findIndex(({ name }) => name === target);
      const shown = own >= SHOWN ? [...first, rows[own]] : first;
      bars.update(shown.map((row) => ({ ...row, marked: row.name === target, note: row.name === target ? "your word" : "" })));
      glance.replaceChildren(...glanceAt(rows, own));
      only(place);
    },
    sayModel: ({ isSmall }) => (model.hidden = !isSmall),
  };
}

function glanceAt([best, ...others], own) {
  const guess = make("span", { className: "guess" }, "Looks like ", make("strong", {}, best.name), ` ${percent(best.probability)}`);
  return own > 0 ? [guess, make("span", { className: "pale" }, `${others[own - 1].name}: no. ${own + 1}`)] : [guess];
}
