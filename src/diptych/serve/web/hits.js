// What a hit says of itself, in the grid and in the lightbox.
import { make } from "./dom.js";

/** The address of a small picture of the hit; `side` is 256, 512, 1024 or 2048 pixels. */
export function thumbnail({ id, second = null }, side) {
  return `v1/photos/${id}/thumbnail?side=${side}${second === null ? "" : `&second=${second}`}`;
}

/** The last part of a name such as `2024/beach.jpg`. */
export function shortName({ name }) {
  return name.split("/").pop();
}

/** How well a hit fits: a small meter with words, or the bare cosine where the model's scale is not known. */
export function relevance({ relevance: share = null, matches = null, score }) {
  if (share === null) return make("span", { className: "relevance number" }, `cosine ${score.toFixed(3)}`);
  const fill = make("span", { className: "fill" });
  fill.style.setProperty("--share", share);
  return make(
    "span",
    { className: "relevance", title: `Relevance ${share.toFixed(2)}, cosine ${score.toFixed(3)}` },
    make("span", { className: "meter", ariaHidden: "true" }, fill),
    matches === null ? `${Math.round(100 * share)}%` : matches ? "matches" : "weak",
  );
}

/** Seconds of a video as `1:05`. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
