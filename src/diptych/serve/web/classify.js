// The Classify view: a picture, labels, and bars that move as the labels are typed.
import { createBars, percent } from "./bars.js";
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
const HOLDS = 0.5; // by itself, from this probability on
const NONE = "none of these";
const hasRoom = matchMedia("(min-width: 52rem)"); // for the options beside the picture; on a phone the bars come first

/** Mounts the Classify view; what it returns is told of the link's parameters. */
export function mount(element, server) {
  let set = ""; // the stored set that the labels are of, until one is changed
  const pictures = createPicturePanel({ onChange: () => update({ now: true }), onRefused: say });
  const labels = createLabelField({ id: "labels", onChange: () => edited() });
  const template = createTemplateField({ id: "template", onChange: () => edited() });
  const each = make("input", { type: "checkbox", id: "each", on: { change: () => update({ now: true }) } });
  const sets = createLabelSets(server, { onPick: pickSet, current: () => ({ labels: labels.labels(), template: template.value() }) });
  const results = createResultList(() => update({ now: true }));
  const note = make("p", { className: "note pale", role: "status" });

  const request = createDebounced((signal) => server.post("v1/classify", requestBody(state(), pictures.chosen().uri), { signal }), {
    delay: TYPING_PAUSE,
    done: ({ results: [answer] }) => results.show(answer, { draft: labels.draft(), each: each.checked }),
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
    set = "";
    sets.set("");
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
    if (set && !labels.labels().length) pickSet(sets.find(set));
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

function createResultList(again) {
  const place = make("div", { className: "result-bars" });
  const bars = createBars(place);
  const note = make("div", { className: "fit-note" });
  const spoken = make("p", { className: "visually-hidden", role: "status" });
  const wrong = make("div");
  const element = make("section", { className: "classify-results", ariaLabel: "Result", hidden: true }, wrong, note, place, spoken);
  let timer = 0;

  function speak(text) {
    clearTimeout(timer);
    timer = setTimeout(() => (spoken.textContent = text), 700); // not every letter's answer
  }

  function fail(error) {
    element.hidden = false;
    element.removeAttribute("aria-busy");
    place.hidden = true;
    note.replaceChildren();
    wrong.replaceChildren(failure(error, again));
  }

  return {
    element,
    fail,
    wait: () => element.setAttribute("aria-busy", "true"),
    clear() {
      clearTimeout(timer);
      element.hidden = true;
    },
    show(answer, { draft, each }) {
      if (answer.error) return fail({ title: answer.error.title, message: answer.error.detail });
      element.hidden = place.hidden = false;
      element.removeAttribute("aria-busy");
      wrong.replaceChildren();
      note.replaceChildren(...noteOn(answer, each));
      bars.update(rowsOf(answer, draft));
      speak(summary(answer, each));
    },
  };
}

function rowsOf({ labels, none_of_these: none }, draft) {
  // The label being typed is one row, however its name grows.
  const rows = labels.map((label) => ({ ...label, key: label.name === draft ? "\n" : label.name }));
  return none === null || none === undefined ? rows : [...rows, { name: NONE, key: "\t", probability: none, quiet: true }];
}

function noteOn({ fits, labels }, each) {
  if (each && !labels.some(({ probability }) => probability >= HOLDS))
    return [make("p", { className: "notice" }, "None of the labels holds by itself.")];
  if (fits !== false) return [];
  const text = "The bars share 100% among your labels, so one of them always leads, even where all are wrong. Try other labels.";
  return [make("div", { className: "notice none-fits" }, make("p", {}, make("strong", {}, "None of these labels seems to fit."), ` ${text}`))];
}

function summary({ labels, fits }, each) {
  const first = labels.slice(0, 3).map(({ name, probability }) => `${name} ${percent(probability)}`);
  return `${fits === false && !each ? "None of the labels seems to fit. " : ""}${first.join(", ")}`;
}
