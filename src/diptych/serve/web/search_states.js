// What the Search view shows before there is a result.
import { count, make } from "./dom.js";
import { emptyState } from "./states.js";

const EXAMPLES = ["people laughing", "a dog in the snow", "sunset over water", "food on a table - coffee"];

/** Before the first search. */
export function invitation({ photos }, onExample) {
  const examples = EXAMPLES.map((words) =>
    make("button", { type: "button", on: { click: () => onExample(words) } }, words),
  );
  return emptyState(
    `Search ${count(photos, "photo")}`,
    ["Say what is in the picture, in plain words. Or drop, paste or pick a picture to find others like it."],
    make("div", { className: "examples" }, ...examples),
  );
}
