// Which of some words a drawing is of.
import { TEMPLATES } from "./deck.js";
import { make } from "./dom.js";
import { COLORS } from "./toolbox.js";

const SIDE = 128; // pixels of the pages that show nothing
const PAGES = 24;
const PEN = SIDE / 36; // as the brush is at first
const CORNERS = [2, 3, 4, 4, 5, 28, 28]; // of shapes: lines, polygons, and what looks round
const MANNERS = [
  { isFilled: false, hasOutline: true, width: PEN },
  { isFilled: true, hasOutline: true, width: PEN },
  { isFilled: true, hasOutline: false, width: PEN },
  { isFilled: true, hasOutline: true, width: 2.4 * PEN },
];
const PAPER = "#ffffff";
const INKS = COLORS.map(([color]) => color).filter((color) => color !== PAPER); // black first
const LEAST = 1e-30; // a probability that was rounded to 0 still has a logarithm

/** Ranks drawings (data URIs) among `words`: `rank(uri, { signal })` gives rows of { name, probability }, best first.
 *
 * `prepare()` asks beforehand for what it needs to know once.
 * Models lean towards some words for anything that is drawn. How far is read off drawings that show nothing, and taken
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

// A few shapes in the manners in which people draw, the same ones each time. They lean as drawings do, which blank
// pages and scribbles do not.
function pagesOfNothing() {
  const random = createRandom(7);
  return Array.from({ length: PAGES }, (_, i) => page(MANNERS[i % MANNERS.length], random));
}

function page(manner, random) {
  const canvas = make("canvas", { width: SIDE, height: SIDE });
  const pen = canvas.getContext("2d");
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, SIDE, SIDE);
  const shapes = 1 + Math.floor(5 * random());
  for (let i = 0; i < shapes; i += 1) shape(pen, manner, random);
  return canvas.toDataURL("image/png");
}

function shape(pen, { isFilled, hasOutline, width }, random) {
  const between = (from, to) => from + (to - from) * random();
  const pick = (all) => all[Math.floor(all.length * random())];
  const [x, y, across, down, turn] = [between(0.3, 0.7), between(0.3, 0.7), between(0.06, 0.3), between(0.06, 0.3), between(0, 2 * Math.PI)];
  const corners = pick(CORNERS);
  const color = pick(INKS);
  pen.beginPath();
  for (let i = 0; i < corners; i += 1) {
    const angle = turn + (2 * Math.PI * i) / corners;
    pen.lineTo(SIDE * (x + across * Math.cos(angle)), SIDE * (y + down * Math.sin(angle)));
  }
  pen.closePath();
  Object.assign(pen, { fillStyle: color, strokeStyle: hasOutline ? INKS[0] : color, lineWidth: width, lineJoin: "round" });
  if (isFilled) pen.fill();
  pen.stroke();
}

// A linear congruential generator (Numerical Recipes): Math.random cannot be seeded.
function createRandom(seed) {
  let state = seed;
  return () => (state = (1664525 * state + 1013904223) % 2 ** 32) / 2 ** 32;
}
