// The Draw view: what is drawn is ranked while it is drawn, as a game against the clock or for practice.
import { DECK } from "./deck.js";
import { make } from "./dom.js";
import { createRanking } from "./draw_ranking.js";
import { createGamePanel } from "./game_panel.js";
import { createJudge } from "./judge.js";
import { createLabelField } from "./label_field.js";
import { createThrottled } from "./latest.js";
import { keepInLink } from "./link.js";
import { createSketch } from "./sketch.js";
import { createToolbox } from "./toolbox.js";

const INTERVAL = 250; // ms between two looks at a drawing
const TYPING_PAUSE = 400; // ms; new words have to be looked at on pages of nothing first
const BUSY_PAUSE = 1000; // ms
const SMALL = "postcard"; // the model in the package

/** Mounts the Draw view; what it returns is told of the link's parameters. */
export function mount(element, server) {
  const deck = createJudge(server, DECK);
  let judge = deck;
  let practises = false;
  let typing = 0;

  const toolbox = createToolbox({ onUndo: () => sketch.undo(), onClear: () => sketch.clear() });
  const sketch = createSketch({ tool: toolbox.tool, onChange: look });
  const game = createGamePanel(DECK, { onRound: startRound, onEnd: rest });
  const words = createLabelField({ id: "practice-words", onChange: typed });
  const practice = make(
    "div",
    { className: "practice card", hidden: true },
    make("div", { className: "field" }, make("label", { htmlFor: "practice-words" }, "Words to tell apart"), words.element, make("p", { id: "practice-words-hint", className: "hint" }, "No clock here. Two words or more; without any, those of the game.")),
  );
  const modes = modeSwitch((wants) => setMode(wants));
  const ranking = createRanking();
  const looking = createThrottled((signal) => judge.rank(sketch.uri(), { signal }), { interval: INTERVAL, done: show, failed });

  element.append(
    make("h1", { className: "visually-hidden" }, "Draw"),
    make(
      "div",
      { className: "draw-columns" },
      make("div", { className: "draw-top" }, modes.element, game.element, practice),
      make("div", { className: "draw-sheet" }, ranking.glance, sketch.element, toolbox.element),
      ranking.element,
    ),
  );
  server.facts().then(({ model }) => ranking.sayModel({ isSmall: model.id === SMALL }), () => {});
  deck.prepare().then(game.ready, game.ready); // what went wrong is said when a drawing is ranked

  function look() {
    if (sketch.isBlank()) {
      looking.stop();
      ranking.clear();
    } else {
      ranking.wait();
      looking.ask();
    }
  }

  function show(rows) {
    ranking.show(rows, practises ? null : game.target());
    if (!practises) game.judge(rows);
  }

  function failed(error) {
    if (error.slug === "busy") setTimeout(look, BUSY_PAUSE);
    else ranking.fail(error, look);
  }

  function startRound() {
    sketch.enable(true);
    sketch.renew();
    sketch.focus();
  }

  function rest() {
    looking.stop();
    ranking.rest();
    sketch.enable(false);
  }

  function typed() {
    clearTimeout(typing);
    typing = setTimeout(takeWords, TYPING_PAUSE);
  }

  function takeWords() {
    const own = words.labels();
    judge = practises && own.length > 1 ? createJudge(server, own) : deck;
    keepLink();
    look();
  }

  function setMode(wants) {
    practises = wants;
    game.element.hidden = practises;
    practice.hidden = !practises;
    if (practises) game.pause();
    else game.resume();
    sketch.enable(practises || game.takesDrawings());
    looking.stop();
    takeWords();
  }

  function keepLink() {
    const params = new URLSearchParams(practises ? { practice: "1" } : {});
    if (practises) for (const word of words.labels()) params.append("word", word);
    keepInLink("draw", params);
  }

  return {
    show(params) {
      const wants = params.get("practice") === "1";
      words.set(params.getAll("word"));
      modes.set(wants);
      setMode(wants);
    },
    hide() {
      clearTimeout(typing);
      looking.stop();
      game.pause();
    },
  };
}

function modeSwitch(onChange) {
  const inputs = [["Game", false], ["Practice", true]].map(([label, value]) => {
    const input = make("input", { type: "radio", name: "mode", className: "visually-hidden", on: { change: () => onChange(value) } });
    return { value, input, element: make("label", {}, input, make("span", {}, label)) };
  });
  return {
    element: make("fieldset", { className: "modes" }, make("legend", { className: "visually-hidden" }, "Mode"), ...inputs.map(({ element }) => element)),
    set: (wanted) => inputs.forEach(({ input, value }) => (input.checked = value === wanted)),
  };
}
