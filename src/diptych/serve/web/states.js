// What a view shows where it has nothing else to show: waiting, nothing there, and what went wrong.
import { make } from "./dom.js";

/** Replaces what is in `element` by an error and, with `again`, a button that tries once more. */
export function showFailure(element, error, again) {
  element.replaceChildren(failure(error, again));
}

/** An error as an element that screen readers announce; `label` says what `again` does. */
export function failure(error, again, label = "Try again") {
  const press = ({ currentTarget }) => {
    const around = currentTarget.closest("[tabindex='-1']");
    again();
    if (document.activeElement === document.body) around?.focus({ preventScroll: true }); // the button went, and the focus with it
  };
  const retry = again ? make("button", { type: "button", className: "again", on: { click: press } }, label) : null;
  return make(
    "div",
    { className: "notice failed", role: "alert" },
    make("p", {}, make("strong", {}, error.title ?? "Something went wrong"), " ", error.message),
    retry,
  );
}

/** A calm page of its own for what is not there yet: a title, paragraphs (text or nodes), and an action. */
export function emptyState(title, paragraphs, ...actions) {
  return make(
    "div",
    { className: "empty" },
    make("h2", {}, title),
    ...paragraphs.map((text) => make("p", {}, ...[text].flat())),
    ...actions,
  );
}

/** A sign of waiting, with words for those who do not see it turn. */
export function waiting(label = "Loading") {
  return make("div", { className: "waiting", role: "status" }, make("span", { className: "visually-hidden" }, label));
}
