// What is known of a photo, as the rows of a description list.
import { make } from "./dom.js";
import { clock, relevance } from "./hits.js";

/** The rows (dt and dd elements) for a hit; with the facts of `GET v1/photos/{id}` in it there are more. */
export function describePhoto(hit) {
  const facts = [
    ["Caption", hit.text],
    ["Fits", relevance(hit)],
    ["In", `${hit.root}: ${hit.name}`],
    ["Taken", hit.taken_at?.replace("T", " ")],
    ["At", moment(hit)],
    ["Camera", hit.camera],
    ["Size", [`${hit.width} × ${hit.height}`, hit.format, hit.size && megabytes(hit.size)].filter(Boolean).join(", ")],
    ["Place", Number.isFinite(hit.latitude) ? `${hit.latitude.toFixed(4)}, ${hit.longitude.toFixed(4)}` : null],
    ...Object.entries(hit.fields ?? {}).map(([name, value]) => [name, plain(value)]),
    ["Number", `photo:${hit.id}`],
  ];
  return facts.filter(([, value]) => value).flatMap(([name, value]) => row(name, value));
}

function moment({ second = null, seconds = null }) {
  if (second === null) return null;
  return seconds === null ? clock(second) : `${clock(second)} of ${clock(seconds)}`;
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

function row(name, value) {
  return [make("dt", {}, name), make("dd", {}, value)];
}

function megabytes(bytes) {
  return bytes < 100_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
