// Filling an area of a picture with one colour.

const LIKENESS = 72; // of each of red, green and blue

/** Fills what is joined to (x, y) in `image` (ImageData) and looks alike; `color` is [red, green, blue].
 *
 * A pixel more is filled all around: lines have soft edges, which would stay as a seam.
 */
export function flood(image, x, y, color) {
  const { width, height, data } = image;
  const start = 4 * (y * width + x);
  const from = [data[start], data[start + 1], data[start + 2]];
  const seen = new Uint8Array(width * height);
  const open = [y * width + x];
  const fits = (place) => !seen[place] && from.every((value, i) => Math.abs(data[4 * place + i] - value) <= LIKENESS);

  while (open.length) {
    const place = open.pop();
    if (!fits(place)) continue;
    const row = place - (place % width);
    let [left, right] = [place, place];
    while (left > row && fits(left - 1)) left -= 1;
    while (right < row + width - 1 && fits(right + 1)) right += 1;
    for (let i = left; i <= right; i += 1) {
      seen[i] = 1;
      data.set(color, 4 * i);
      if (i >= width) open.push(i - width);
      if (i < width * (height - 1)) open.push(i + width);
    }
  }
  for (const place of edges(seen, width)) data.set(color, 4 * place);
}

function edges(seen, width) {
  const found = [];
  for (let i = 0; i < seen.length; i += 1) {
    const column = i % width;
    const besides = (column > 0 && seen[i - 1]) || (column < width - 1 && seen[i + 1]) || seen[i - width] || seen[i + width];
    if (!seen[i] && besides) found.push(i);
  }
  return found;
}
