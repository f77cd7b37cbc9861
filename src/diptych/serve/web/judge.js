// Which of some words a drawing is of.
import { TEMPLATES } from "./deck.js";
import { make } from "./dom.js";
import { COLORS } from "./toolbox.js";

const SIDE = 128; // pixels of the pages that show nothing
const LEAST = 1e-30; // a probability that was rounded to 0 still has a logarithm

/** Ranks drawings (data URIs) among `words`: `rank(uri, { signal })` gives rows of { name, probability }, best first.
 *
 * `prepare()` asks beforehand for what it needs to know once.
 * Models lean towards some words for anything that is drawn. How far is read off pages that show nothing, and taken
 * off (contextual calibration: Zhao et al. 2021, section 5).
 */
export function createJudge(server, words) {
  let learning = null; // a promise of each word's mean logarithm on those pages

  async function ask(images, signal) {
    const body = { images, labels: words, templates: TEMPLATES, top: words.length };
    const { results } = await server.post("v1/classify", body, { signal });
    return results.map(({ labels }) => new Map(labels.map(({ name, probability }) => [name, Math.log(Math.max(probability, LEAST))])));
  }

  async function learn() {
    const pages = await ask(pagesOfNothing());
    return new Map(words.map((word) => [word, pages.reduce((sum, page) => sum + page.get(word), 0) / pages.length]));
  }

  function prepare() {
    learning ??= learn().catch((error) => {
      learning = null; // to be asked again
      throw error;
    });
    return learning;
  }

  return {
    prepare,
    async rank(uri, { signal } = {}) {
      const leaning = await prepare();
      const [logs] = await ask([uri], signal);
      return ranked(words.map((name) => ({ name, log: logs.get(name) - leaning.get(name) })));
    },
  };
}

function ranked(rows) {
  const most = Math.max(...rows.map(({ log }) => log));
  const weights = rows.map(({ name, log }) => ({ name, weight: Math.exp(log - most) }));
  const sum = weights.reduce((total, { weight }) => total + weight, 0);
  return weights.map(({ name, weight }) => ({ name, probability: weight / sum })).sort((a, b) => b.probability - a.probability);
}

// A blank page, scribbles, blobs of a colour, and blobs on coloured pages: the same ones each time.
function pagesOfNothing() {
  const random = createRandom(7);
  const color = (i) => COLORS[i % COLORS.length][0];
  const white = "#ffffff";
  return [
    page(white, () => {}),
    ...[0, 5, 8, 11].map((i) => page(white, (pen) => scribble(pen, color(i), random))),
    ...[5, 6, 7, 8, 11, 3].map((i) => page(white, (pen) => blob(pen, color(i), random))),
    ...[2, 2, 10, 10, 0, 8, 4, 11].map((paper, i) =>
      page(color(paper), (pen) => [5 * i, 7 * i + 3].forEach((j) => blob(pen, color(j), random))),
    ),
  ];
}

function page(paper, draw) {
  const canvas = make("canvas", { width: SIDE, height: SIDE });
  const pen = canvas.getContext("2d");
  pen.fillStyle = paper;
  pen.fillRect(0, 0, SIDE, SIDE);
  draw(pen);
  return canvas.toDataURL("image/png");
}

function scribble(pen, color, random) {
  Object.assign(pen, { strokeStyle: color, lineWidth: SIDE / 32, lineJoin: "round" });
  pen.beginPath();
  for (let i = 0; i < 25; i += 1) pen.lineTo(SIDE * (0.1 + 0.8 * random()), SIDE * (0.1 + 0.8 * random()));
  pen.stroke();
}

function blob(pen, color, random) {
  const between = (from, to) => SIDE * (from + (to - from) * random());
  pen.fillStyle = color;
  pen.beginPath();
  pen.ellipse(between(0.28, 0.72), between(0.28, 0.72), between(0.12, 0.32), between(0.12, 0.32), 0, 0, 2 * Math.PI);
  pen.fill();
}

// A linear congruential generator (Numerical Recipes): Math.random cannot be seeded.
function createRandom(seed) {
  let state = seed;
  return () => (state = (1664525 * state + 1013904223) % 2 ** 32) / 2 ** 32;
}
