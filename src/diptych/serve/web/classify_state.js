// What the Classify view asks, without the picture: kept in the link, and sent to the server.

const FIRST_LABELS = ["dog", "cat", "person", "food", "car", "building", "beach", "flowers"];
const SHOWN = 50; // bars; more than anybody reads
const MOST = 1000; // labels; a link beyond that is no link

/** The state in a link's parameters: { labels, template, each, set }. A link without any has labels to begin with. */
export function readState(params) {
  const labels = params.getAll("label").slice(0, MOST);
  const set = params.get("set") ?? "";
  return {
    labels: labels.length || set || params.has("none") ? labels : FIRST_LABELS,
    template: params.get("template") ?? "",
    each: params.get("each") === "1",
    set,
  };
}

/** The parameters of a link that keeps the state. */
export function writeState({ labels, template, each, set }) {
  const params = new URLSearchParams();
  if (set) params.set("set", set);
  else if (!labels.length) params.set("none", "1");
  else if (labels.join("\n") !== FIRST_LABELS.join("\n")) for (const label of labels) params.append("label", label);
  if (template && !set) params.set("template", template);
  if (each) params.set("each", "1");
  return params;
}

/** The body of `POST v1/classify` for one picture, a data URI. */
export function requestBody({ labels, template, each, set }, uri) {
  const asked = set ? { label_set: set } : { labels, ...(template && { templates: template }) };
  return { images: [uri], ...asked, top: Math.min(labels.length || SHOWN, SHOWN), ...(each && { multi: true, threshold: 0 }) };
}
