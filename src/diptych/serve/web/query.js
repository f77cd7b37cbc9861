// What is looked for: words in the library's own language, terms (chips) with their signs, and filters.

/** All filters that there are, but for those by fields of a catalogue. */
export const FILTERS = ["since", "until", "camera", "format", "min_side", "place", "km", "root"];
const WEIGHTED = /^(?:(\d+(?:\.\d+)?):)?(words|photo|picture):(.+)$/s;

/** A search for nothing yet. A term is { kind: "words" | "photo" | "picture", value, sign: 1 | -1, weight }. */
export function blankState() {
  return { words: "", terms: [], filters: {}, fields: [] };
}

/** Whether there is anything to look for; filters alone are not enough. */
export function isEmpty({ words, terms }) {
  return !words.trim() && !terms.length;
}

/** The state that a link's parameters hold. What they hold beyond it is left out. */
export function readState(params) {
  const state = blankState();
  state.words = params.get("q") ?? "";
  for (const name of FILTERS) if (params.get(name)) state.filters[name] = params.get(name);
  for (const [key, text] of params) {
    if (key === "plus" || key === "minus") state.terms.push(...readTerm(text, key === "plus" ? 1 : -1));
    if (key === "field") state.fields.push(...readField(text));
  }
  return state;
}

/** The parameters of a link that keeps the state, but for what pictures show. */
export function writeState({ words, terms, filters, fields }) {
  const params = new URLSearchParams();
  if (words.trim()) params.set("q", words.trim());
  for (const { kind, value, sign, weight } of terms)
    params.append(sign > 0 ? "plus" : "minus", `${weight === 1 ? "" : `${weight}:`}${kind}:${value}`);
  for (const name of FILTERS) if (filters[name]) params.set(name, filters[name]);
  for (const { name, op, value } of fields) params.append("field", JSON.stringify([name, op, value]));
  return params;
}

/** The body of `POST v1/search`; `pictures` maps the values of picture terms to { uri }. */
export function requestBody(state, pictures, { top, skip }) {
  const query = queryText(state);
  const images = state.terms
    .filter(({ kind }) => kind === "picture")
    .map(({ value, sign, weight }) => ({ image: pictures.get(value).uri, weight: sign * weight }));
  return {
    ...(query && { query }),
    ...(images.length && { images }),
    ...(hasFilters(state) && { filters: filtersOf(state) }),
    top,
    skip,
  };
}

/** The number of filters that are set. */
export function countFilters({ filters, fields }) {
  return FILTERS.filter((name) => name !== "km" && filters[name]).length + fields.length;
}

/** The words and terms in the library's language, such as `photo:17 - "snow" + a dog`; pictures have no place in it. */
export function queryText({ words, terms }) {
  const said = terms.filter(({ kind }) => kind !== "picture").map(termText);
  const typed = words.trim();
  // Last, so that an odd quotation mark in it cannot take in a term.
  if (typed) said.push(/^-(\s|$)/.test(typed) ? typed : `+ ${typed}`);
  return said.join(" ").replace(/^\+ /, "");
}

function termText({ kind, value, sign, weight }) {
  const content = kind === "photo" ? `photo:${value}` : `"${value.replace(/[\\"]/g, "\\$&")}"`;
  return `${sign > 0 ? "+" : "-"} ${weight === 1 ? "" : `${weight}:`}${content}`;
}

function readTerm(text, sign) {
  const [, weight = "1", kind, value] = WEIGHTED.exec(text) ?? [];
  if (!kind || (kind === "photo" && !/^\d+$/.test(value))) return [];
  return [{ kind, value, sign, weight: Number(weight) }];
}

function readField(text) {
  try {
    const [name, op, value] = JSON.parse(text).map(String);
    return name && op && value ? [{ name, op, value }] : [];
  } catch {
    return []; // a link that was cut off
  }
}

function hasFilters(state) {
  return countFilters(state) > 0;
}

function filtersOf({ filters, fields }) {
  const { place, km, min_side: minSide, ...plain } = filters;
  const [latitude, longitude] = (place ?? "").split(/[,\s]+/).map(Number);
  return {
    ...plain,
    ...(minSide && { min_side: Number(minSide) }),
    ...(place && { near: { latitude, longitude, km: Number(km) || 10 } }),
    ...(fields.length && { fields }),
  };
}
