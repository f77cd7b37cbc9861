"use strict";
// The map of map_page.py: drawn on a canvas, moved by pointer, wheel and keys. Nothing is fetched.
const map = JSON.parse(document.getElementById("map").textContent);
const canvas = document.getElementById("plane");
const tip = document.getElementById("tip");
const pen = canvas.getContext("2d");
const sheet = document.querySelector("#sheet img");
const unit = map.side ? 1 : 0; // pictures fill their cell, dots have no size on the plane
const colour = (group) => (group < 0 ? map.grey : map.groups[group][4]);
const cells = new Map(map.photos.map(([x, y], i) => [`${x},${y}`, i]));
let view = { x: 0, y: 0, scale: 1 }; // of the plane's origin in CSS pixels, and CSS pixels a column
let hovered = -1;

function fit() {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = 0.94 * Math.min(width / map.columns, height / map.rows);
  view = { scale, x: (width - scale * map.columns) / 2, y: (height - scale * map.rows) / 2 };
  draw();
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.scale(ratio, ratio);
  map.photos.forEach((photo, i) => drawPhoto(photo, i, width, height));
  drawNames();
}

function drawPhoto([column, row, group], i, width, height) {
  const x = view.x + column * view.scale;
  const y = view.y + row * view.scale;
  const size = unit * view.scale;
  if (x + size < -5 || y + size < -5 || x > width + 5 || y > height + 5) return;
  pen.fillStyle = colour(group);
  if (!unit) {
    pen.beginPath();
    pen.arc(x, y, i === hovered ? 7 : Math.min(5, 1.5 + view.scale / 4), 0, 7);
    pen.fill();
    return;
  }
  pen.fillRect(x, y, size, size);
  const frame = i === hovered ? Math.max(2, size * 0.06) : Math.max(0.5, size * 0.03);
  const [left, top] = [(i % map.sheetColumns) * map.side, Math.floor(i / map.sheetColumns) * map.side];
  pen.drawImage(sheet, left, top, map.side, map.side, x + frame, y + frame, size - 2 * frame, size - 2 * frame);
}

function drawNames() {
  const style = getComputedStyle(document.body);
  const taken = [];
  pen.font = "600 15px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 5;
  for (const [name, , column, row] of map.groups) {
    const x = view.x + (column + unit / 2) * view.scale;
    const y = view.y + (row + unit / 2) * view.scale;
    const half = pen.measureText(name).width / 2 + 4;
    if (taken.some(([a, b, c]) => Math.abs(a - x) < half + c && Math.abs(b - y) < 22)) continue;
    taken.push([x, y, half]);
    pen.strokeStyle = style.backgroundColor;
    pen.strokeText(name, x, y);
    pen.fillStyle = style.color;
    pen.fillText(name, x, y);
  }
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  view = { scale: view.scale * factor, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor };
  draw();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  draw();
}

function photoAt(x, y) {
  const [column, row] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
  if (unit) return cells.get(`${Math.floor(column)},${Math.floor(row)}`) ?? -1;
  let [best, nearest] = [-1, (8 / view.scale) ** 2];
  map.photos.forEach(([a, b], i) => {
    const distance = (a - column) ** 2 + (b - row) ** 2;
    if (distance < nearest) [best, nearest] = [i, distance];
  });
  return best;
}

function hover(event) {
  const found = photoAt(event.offsetX, event.offsetY);
  tip.hidden = found < 0;
  if (found >= 0) {
    const [, , group, folder, name] = map.photos[found];
    tip.textContent = `${map.folders[folder]}${name}${group < 0 ? "" : `\n${map.groups[group][0]}`}`;
    tip.style.left = `${Math.max(0, Math.min(event.offsetX + 14, canvas.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, Math.min(event.offsetY + 18, canvas.clientHeight - tip.offsetHeight - 4))}px`;
  }
  if (found !== hovered) {
    hovered = found;
    draw();
  }
}

const pointers = new Map();
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
});
canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return hover(event);
  const now = [event.offsetX, event.offsetY];
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  pointers.set(event.pointerId, now);
  if (!other) return move(now[0] - before[0], now[1] - before[1]);
  const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
  zoom(apart(now) / Math.max(1, apart(before)), other[0], other[1]);
});
for (const kind of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(kind, (event) => pointers.delete(event.pointerId));
}
canvas.addEventListener("pointerleave", () => (tip.hidden = true));
canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), event.offsetX, event.offsetY);
  },
  { passive: false },
);
canvas.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));
const KEYS = {
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit,
  ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
};
canvas.addEventListener("keydown", (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.getElementById("groups").addEventListener("click", (event) => {
  const number = event.target.closest("button")?.dataset.group;
  if (number === undefined) return;
  const [, , column, row] = map.groups[number];
  const scale = Math.max(view.scale, (4 * canvas.clientWidth) / map.columns / 3);
  view = { scale, x: canvas.clientWidth / 2 - (column + unit / 2) * scale, y: canvas.clientHeight / 2 - (row + unit / 2) * scale };
  draw();
});
window.addEventListener("resize", fit);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (sheet) sheet.decode().then(fit, fit);
else fit();
