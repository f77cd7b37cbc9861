// Labels with their probabilities as bars that move when the numbers do.
import { make } from "./dom.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** A list of bars in `element`; `update(rows)` moves them to rows of { name, probability, cosine?, quiet? }, in order.
 *
 * `probability` is 0 to 1, `cosine` is shown beside it; `quiet` is a row that is no label, such as "none of these".
 */
export function createBars(element) {
  const list = make("ul", { className: "bars" });
  const kept = new Map(); // rows by name, so that a bar slides and is not drawn anew
  element.append(list);
  return {
    update(rows) {
      const before = tops(kept);
      for (const name of [...kept.keys()]) if (!rows.some((row) => row.name === name)) drop(kept, name);
      for (const row of rows) list.append(fill(kept.get(row.name) ?? create(kept, row.name), row));
      slide(kept, before);
    },
  };
}

function create(kept, name) {
  const bar = make("span", { className: "fill" });
  const parts = { bar, value: make("span", { className: "number" }), cosine: make("span", { className: "number pale" }) };
  const row = make(
    "li",
    { className: "bar" },
    make("span", { className: "name" }, name),
    parts.cosine,
    parts.value,
    make("span", { className: "track", ariaHidden: "true" }, bar),
  );
  kept.set(name, Object.assign(row, { parts }));
  return row;
}

function fill(row, { probability, cosine = null, quiet = false }) {
  row.classList.toggle("quiet-row", quiet);
  row.parts.value.textContent = percent(probability);
  row.parts.cosine.textContent = cosine === null ? "" : `cosine ${cosine.toFixed(3)}`;
  row.parts.bar.style.setProperty("--share", Math.min(1, Math.max(0, probability)));
  return row;
}

/** `93%`, and one digit more where it tells something: `0.4%`. */
export function percent(share) {
  const value = 100 * share;
  return `${value.toFixed(value > 0 && value < 10 ? 1 : 0)}%`;
}

function drop(kept, name) {
  kept.get(name).remove();
  kept.delete(name);
}

function tops(kept) {
  return new Map([...kept].map(([name, row]) => [name, row.offsetTop]));
}

function slide(kept, before) {
  if (calm.matches) return;
  for (const [name, row] of kept) {
    const distance = (before.get(name) ?? row.offsetTop) - row.offsetTop;
    if (distance) row.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], { duration: 180, easing: "ease-out" });
  }
}
