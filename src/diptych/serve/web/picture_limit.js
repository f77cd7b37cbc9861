// Pictures of more pixels than the server takes are made smaller here.
import { make } from "./dom.js";

const SIDE = 1024; // pixels of the shorter side: several times what any model sees
const LONGEST = 8192; // of the longer one: a canvas has its limits

/** The file itself, or where it has more than `mostPixels`, a smaller JPEG of the same name.
 *
 * What the browser cannot decode stays as it is: the server may be able to.
 */
export async function fitPicture(file, mostPixels) {
  const address = URL.createObjectURL(file);
  try {
    const picture = make("img", { src: address });
    await loaded(picture);
    if (picture.naturalWidth * picture.naturalHeight <= mostPixels) return file;
    const blob = await paint(picture);
    return blob ? new File([blob], file.name, { type: blob.type }) : file;
  } catch {
    return file;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function loaded(picture) {
  return new Promise((resolve, reject) => {
    picture.addEventListener("load", resolve);
    picture.addEventListener("error", reject);
  });
}

function paint(picture) {
  const [width, height] = [picture.naturalWidth, picture.naturalHeight];
  const scale = Math.min(1, SIDE / Math.min(width, height), LONGEST / Math.max(width, height));
  const canvas = make("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
