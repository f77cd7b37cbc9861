// The Classify view: a picture, labels, and bars that move as the labels are typed.
import { createResultList } from "./classify_results.js";
import { readState, requestBody, writeState } from "./classify_state.js";
import { make } from "./dom.js";
import { receivePictures } from "./dropzone.js";
import { createLabelField } from "./label_field.js";
import { createLabelSets, namesOf, templateOf } from "./label_sets.js";
import { createDebounced } from "./latest.js";
import { keepInLink } from "./link.js";
import { createPicturePanel } from "./picture_panel.js";
import { failure } from "./states.js";
import { createTemplateField } from "./template_field.js";

const TYPING_PAUSE = 150; // ms
const hasRoom = matchMedia("(min-width: 52rem)"); // for the options beside the picture; on a phone the bars come first

/** Mounts the Classify view; what it returns is told of the link's parameters. */
export function mount(element, server) {
  let set = ""; // the stored set that the labels are of, until one is changed
  const pictures = createPicturePanel(server, { onChange: () => update({ now: true }), onRefused: say });
  const labels = createLabelField({ id: "labels", onChange: () => edited() });
  const template = createTemplateField({ id: "template", onChange: () => edited() });
  const each = make("input", { type: "checkbox", id: "each", on: { change: () => update({ now: true }) } });
  const sets = createLabelSets(server, { onPick: pickSet, current: () => ({ labels: labels.labels(), template: template.value() }) });
  const results = createResultList({ again: () => update({ now: true }), remove: pictures.removeChosen });
  const note = make("p", { className: "note pale", role: "status" });

  const request = createDebounced((signal) => server.post("v1/classify", requestBody(state(), pictures.chosen().uri), { signal }), {
    delay: TYPING_PAUSE,
    done: ({ results: [answer] }) => results.show(answer, { draft: labels.draft(), each: each.checked, name: pictures.chosen().name }),
    failed: results.fail,
  });

  element.append(make("h1", { className: "visually-hidden" }, "Classify"), make("div", { className: "classify-columns" }, pictures.element, controls()));
  receivePictures(element, pictures.add, { onRefused: say });
  sets.load().then(followSet, () => {}); // a view without stored sets is whole, too

  function controls() {
    const hint = make("p", { id: "labels-hint", className: "hint" }, "Comma or Enter ends a label. The link keeps the labels, not the picture.");
    const many = make("label", { className: "check", htmlFor: "each" }, each, "Each by itself: several may hold");
    const options = make("div", { className: "classify-options" }, make("div", {}, template.element, many), sets.element);
    return make(
      "div",
      { className: "classify-controls" },
      make("div", { className: "field" }, make("label", { htmlFor: "labels" }, "Labels"), labels.element, hint),
      make("details", { className: "more-options", open: hasRoom.matches }, make("summary", {}, "Sentence, sets, several labels"), options),
      note,
      results.element,
    );
  }

  function state() {
    return { labels: labels.labels(), template: template.value(), each: each.checked, set };
  }

  function edited() {
    sets.leave();
    set = "";
    update();
  }

  function pickSet(picked) {
    set = picked?.name ?? "";
    if (picked) {
      labels.set(namesOf(picked));
      template.set(templateOf(picked));
    }
    update({ now: true });
  }

  function followSet() {
    const stored = sets.find(set); // none until they are loaded
    if (stored && !labels.labels().length) pickSet(stored);
    sets.set(set);
  }

  function update({ now = false } = {}) {
    const asked = state();
    if (asked.template !== null) keepInLink("classify", writeState(asked));
    const ready = pictures.chosen() && (asked.labels.length || set) && asked.template !== null;
    say(pictures.chosen() ? (asked.labels.length || set ? "" : "Type a label: what might be in the picture?") : "");
    if (ready) {
      results.wait();
      request.ask({ now });
    } else {
      request.stop();
      results.clear();
    }
  }

  function say(text) {
    note.textContent = text;
  }

  function show(params) {
    const { set: wanted, ...kept } = readState(params);
    set = wanted;
    labels.set(kept.labels);
    template.set(kept.template);
    each.checked = kept.each;
    followSet();
    update({ now: true });
  }

  return { show, hide: request.stop };
}
