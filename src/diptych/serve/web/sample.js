// A picture to begin with, painted here: nothing is fetched for it.
import { make } from "./dom.js";

const [WIDTH, HEIGHT] = [800, 600];
const BANDS = [ // from, to, and colours from top to bottom
  [0, 240, "#3f8fd0", "#d6ecf6"], // sky
  [240, 360, "#1d5c96", "#5fb6c4"], // sea
  [360, 390, "#5fb6c4", "#d9f0ee"], // foam
  [390, 420, "#c9ad83", "#ecd9b4"], // wet sand
  [420, 600, "#ecd9b4", "#d9b985"], // dry sand
];
const HILLS = [[480, 242], [560, 205], [640, 190], [720, 200], [800, 180], [800, 242]];

/** A painted beach as a PNG file. */
export async function paintSample() {
  const canvas = make("canvas", { width: WIDTH, height: HEIGHT });
  const pen = canvas.getContext("2d");
  for (const band of BANDS) paintBand(pen, ...band);
  pen.fillStyle = "#4f7f6a";
  pen.beginPath();
  for (const corner of HILLS) pen.lineTo(...corner);
  pen.fill();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "painted beach.png", { type: "image/png" });
}

function paintBand(pen, from, to, upper, lower) {
  const shade = pen.createLinearGradient(0, from, 0, to);
  shade.addColorStop(0, upper);
  shade.addColorStop(1, lower);
  pen.fillStyle = shade;
  pen.fillRect(0, from, WIDTH, to - from);
}
