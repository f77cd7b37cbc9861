// The page's frame: which view is in sight. Each is loaded on its first visit and kept: coming back loses nothing.
import { connect } from "./api.js";
import { make } from "./dom.js";
import { showFailure } from "./states.js";

const VIEWS = {
  search: { title: "Search", load: () => import("./search.js") },
  classify: { title: "Classify", load: () => import("./classify.js") },
  draw: { title: "Draw", load: () => import("./draw.js") },
  library: { title: "Library", load: () => import("./library.js") },
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

async function follow() {
  if (location.hash === "#view") return; // the skip link
  const { name, params } = readHash(location.hash);
  const changed = name !== current;
  if (changed) leave();
  current = name;
  markTab(name);
  const { element, view } = await arrive(name);
  if (current !== name) return; // gone on while it loaded
  element.hidden = false;
  view?.show?.(params);
}

function leave() {
  const old = mounted.get(current);
  if (!old) return;
  old.element.hidden = true;
  old.view?.hide?.();
  window.scrollTo(0, 0);
}

async function arrive(name) {
  if (!mounted.has(name)) {
    const element = make("section", { className: `view ${name}`, ariaLabel: VIEWS[name].title });
    frame.append(element);
    mounted.set(name, { element, view: null });
    await mountInto(mounted.get(name), name);
  }
  return mounted.get(name);
}

async function mountInto(entry, name) {
  try {
    const { mount } = await VIEWS[name].load();
    entry.view = (await mount(entry.element, server)) ?? null;
  } catch (error) {
    mounted.delete(name);
    showFailure(entry.element, error, () => {
      entry.element.remove();
      current = null;
      follow();
    });
  }
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

window.addEventListener("hashchange", follow);
follow();
showServer();
