// The page's frame: which view is in sight. Each is mounted on its first visit and kept: coming back loses nothing.
//
// All views are loaded with the page: what a browser could not import once, it does not ask for again.
import { connect } from "./api.js";
import { mount as mountClassify } from "./classify.js";
import { make } from "./dom.js";
import { mount as mountDraw } from "./draw.js";
import { forbidDrops } from "./dropzone.js";
import { mount as mountLibrary } from "./library.js";
import { mount as mountSearch } from "./search.js";

const VIEWS = {
  search: { title: "Search", mount: mountSearch },
  classify: { title: "Classify", mount: mountClassify },
  draw: { title: "Draw", mount: mountDraw },
  library: { title: "Library", mount: mountLibrary },
};
const FIRST = "search";
const server = connect();
const frame = document.getElementById("view");
const mounted = new Map(); // of name: { element, view }, view being what mount returned
let current = null;

/** The view and its parameters that a hash such as `#search?q=dog` asks for. */
export function readHash(hash) {
  const [name, ...rest] = decodeHash(hash).split("?");
  return { name: Object.hasOwn(VIEWS, name) ? name : FIRST, params: new URLSearchParams(rest.join("?")) };
}

function decodeHash(hash) {
  return hash.replace(/^#/, "");
}

function follow() {
  if (location.hash === "#view") return; // the skip link
  const { name, params } = readHash(location.hash);
  const changed = name !== current;
  if (changed) leave();
  current = name;
  markTab(name);
  const { element, view } = arrive(name);
  element.hidden = false;
  view.show?.(params);
}

function leave() {
  const old = mounted.get(current);
  if (!old) return;
  old.element.hidden = true;
  old.view.hide?.();
  window.scrollTo(0, 0);
}

function arrive(name) {
  if (!mounted.has(name)) {
    const element = make("section", { className: `view ${name}`, ariaLabel: VIEWS[name].title });
    frame.append(element);
    mounted.set(name, { element, view: VIEWS[name].mount(element, server) });
  }
  return mounted.get(name);
}

function markTab(name) {
  document.title = `${VIEWS[name].title} · Diptych`;
  for (const tab of document.querySelectorAll(".tabs a")) {
    const here = readHash(tab.hash).name;
    if (here === name) {
      tab.setAttribute("aria-current", "page");
      tab.href = location.hash || `#${FIRST}`; // a tab leads back to where its view was
    } else tab.removeAttribute("aria-current");
  }
}

async function showServer() {
  try {
    const facts = await server.facts();
    document.querySelector(".leave").hidden = !facts.needs_login;
    document.querySelector(".foot").textContent = `Diptych ${facts.version} · ${facts.model.id}`;
  } catch {
    // The view says what is wrong; a footer is not worth a second message.
  }
}

forbidDrops(document);
window.addEventListener("hashchange", follow);
follow();
showServer();
