// The files that could not be read, each with its reason.
import { make } from "./dom.js";
import { failure } from "./states.js";

const TOP = 100;

/** A section that `load()` fills, hidden while there are none; `onRetry()` comes when they shall be tried again. */
export function createFailures(server, { onRetry }) {
  const title = make("h2", {});
  const retry = make("button", { type: "button", on: { click: onRetry } }, "Try them again");
  const rows = make("tbody", {});
  const head = make("tr", {}, ...["Folder", "File", "Reason"].map((name) => make("th", { scope: "col" }, name)));
  const table = make("table", {}, make("thead", {}, head), rows);
  const more = make("button", { type: "button", className: "quiet", on: { click: () => fetchFrom(rows.childElementCount) } }, "Show more");
  const problem = make("div", {});
  const element = make(
    "section",
    { className: "failures", ariaLabel: "Failures", hidden: true },
    make("div", { className: "failures-head" }, title, retry),
    table,
    more,
    problem,
  );

  async function fetchFrom(skip) {
    problem.replaceChildren();
    more.disabled = true; // pressed twice, it would bring the same rows twice
    try {
      const { failures, total } = await server.get(`v1/library/failures?top=${TOP}&skip=${skip}`);
      if (!skip) rows.replaceChildren();
      rows.append(
        ...failures.map(({ root, name, reason }) =>
          make("tr", {}, ...[root, name, reason].map((text) => make("td", {}, text))),
        ),
      );
      title.textContent = `Could not be read (${total.toLocaleString("en")})`;
      element.hidden = total === 0;
      more.hidden = !failures.length || rows.childElementCount >= total;
    } catch (error) {
      element.hidden = false;
      problem.replaceChildren(failure(error, () => fetchFrom(skip)));
    }
    more.disabled = false;
  }

  return {
    element,
    load: () => fetchFrom(0),
    enable: (is) => (retry.disabled = !is),
  };
}
