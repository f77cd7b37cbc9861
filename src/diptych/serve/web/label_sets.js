// Sets of labels that the server keeps, where it has a library: picked, saved, deleted.
import { make } from "./dom.js";
import { failure } from "./states.js";

const NO_PLACE = { title: "Not saved.", message: "The sentence needs {} once, where the label goes." };

/** The row of label sets: `element`, hidden until `load()` has found that the server keeps any, `set(name)`, and
 * `leave()` for when the labels are changed, which says what of the set is not used any more.
 *
 * `onPick(labelSet)` hears of the set that is picked; `current()` gives the { labels, template } to save.
 */
export function createLabelSets(server, { onPick, current }) {
  let sets = [];
  const select = make("select", { id: "label-set", on: { change: pick } });
  const save = make("button", { type: "button", className: "small", on: { click: startNaming } }, "Save these labels…");
  const remove = make("button", { type: "button", className: "small quiet", hidden: true, on: { click: removeSet } }, "Delete this set");
  const name = make("input", { type: "text", required: true, maxLength: 100, ariaLabel: "Name of the set", placeholder: "name of the set" });
  const naming = make(
    "form",
    { className: "naming", hidden: true, on: { submit: saveSet } },
    name,
    make("button", { className: "primary small" }, "Save"),
    make("button", { type: "button", className: "quiet small", on: { click: stopNaming } }, "Cancel"),
  );
  const more = make("p", { className: "hint pale", role: "status" });
  const said = make("div", { role: "status" });
  const element = make(
    "div",
    { className: "label-sets", hidden: true },
    make("div", { className: "field" }, make("label", { htmlFor: "label-set" }, "Label set"), select),
    make("div", { className: "set-actions" }, save, remove),
    naming,
    more,
    said,
  );
  naming.addEventListener("keydown", (event) => event.key === "Escape" && stopNaming());

  async function load() {
    const { has_library: keeps } = await server.facts();
    if (!keeps) return;
    await refresh();
    element.hidden = false;
  }

  async function refresh() {
    const { label_sets: found } = await server.get("v1/label-sets");
    const picked = select.value;
    sets = found;
    select.replaceChildren(new Option("none: labels as typed", ""), ...sets.map((set) => new Option(set.name, set.name)));
    show(picked);
  }

  function show(picked) {
    select.value = sets.some((set) => set.name === picked) ? picked : "";
    remove.hidden = !select.value;
    save.hidden = Boolean(select.value);
    const own = ownOf(find(select.value));
    more.textContent = own ? `${select.value} has ${own} of its own, used while neither its labels nor the sentence are changed.` : "";
  }

  function leave() {
    const left = select.value;
    if (!left) return;
    const own = ownOf(find(left));
    show("");
    if (own) more.textContent = `Changed: ${own} of ${left} are not used now. Pick the set again to have them back.`;
  }

  function find(wanted) {
    return sets.find((set) => set.name === wanted) ?? null;
  }

  function pick() {
    show(select.value);
    onPick(find(select.value));
  }

  function startNaming() {
    said.replaceChildren();
    naming.hidden = false;
    name.focus();
  }

  function stopNaming() {
    naming.hidden = true;
    save.focus();
  }

  async function saveSet(event) {
    event.preventDefault();
    const { labels, template } = current();
    if (template === null) return said.replaceChildren(failure(NO_PLACE));
    await attempt(async () => {
      await server.post("v1/label-sets", { name: name.value.trim(), labels, ...(template && { templates: template }) });
      const saved = name.value.trim();
      naming.reset();
      naming.hidden = true;
      await refresh();
      show(saved);
      pick();
      select.focus();
      said.textContent = `Saved as ${saved}.`;
    });
  }

  async function removeSet() {
    const gone = select.value;
    await attempt(async () => {
      await server.remove(`v1/label-sets/${encodeURIComponent(gone)}`);
      await refresh();
      pick();
      select.focus();
      said.textContent = `Deleted ${gone}.`;
    });
  }

  async function attempt(work) {
    said.replaceChildren();
    try {
      await work();
    } catch (error) {
      said.replaceChildren(failure(error));
    }
  }

  return { element, load, set: show, leave, find };
}

/** The names of a stored set's labels, whose phrases may be others. */
export function namesOf({ labels }) {
  return Array.isArray(labels) ? labels : Object.keys(labels);
}

/** A stored set's template as the field of templates has it; of several, that field can show none. */
export function templateOf({ templates }) {
  const [only, ...others] = [templates ?? ""].flat();
  return others.length ? "" : only;
}

// What a set has that the fields of labels and of the sentence cannot show: "" for none.
function ownOf(set) {
  const count = [set?.templates ?? ""].flat().length;
  const hasPhrases = set && !Array.isArray(set.labels) && Object.entries(set.labels).some(([name, phrases]) => String(phrases) !== name);
  return [count > 1 && `${count} sentences`, hasPhrases && "phrases"].filter(Boolean).join(" and ");
}
