// A picture of the user's, made ready to be sent.
import { make } from "./dom.js";

const MOST_BYTES = 1_500_000; // above this a picture is made smaller before it is sent
const SIDE = 1024; // pixels of the shorter side of a smaller one: several times what any model sees
const LONGEST = 8192; // of its longer side: a canvas has its limits

/** A picture ready to be sent: its name, `uri` (a data URI for the server) and `preview` (for an img element).
 *
 * One of many bytes, or of more pixels than the server takes, is made smaller. What the browser cannot decode goes as it
 * is: the server may be able to.
 */
export async function readPicture(file, server) {
  const name = file.name || "pasted picture";
  const typed = file.type ? file : new Blob([file], { type: "image/heic" }); // a system may not know the newer formats
  const preview = URL.createObjectURL(typed);
  const small = await smaller(preview, typed.size > MOST_BYTES ? 0 : await mostPixels(server));
  if (!small) return { name, uri: await dataUri(typed), preview };
  URL.revokeObjectURL(preview);
  return { name, uri: await dataUri(small), preview: URL.createObjectURL(small) };
}

// A server that does not answer says so when it is asked for more.
function mostPixels(server) {
  return server.facts().then(({ limits }) => limits.pixels, () => Infinity);
}

/** A JPEG of the picture at `address`, or null where it has no more than `most` pixels or cannot be decoded. */
async function smaller(address, most) {
  const picture = make("img", { src: address });
  try {
    await picture.decode();
  } catch {
    return null;
  }
  const [width, height] = [picture.naturalWidth, picture.naturalHeight];
  if (width * height <= most) return null;
  const scale = Math.min(1, SIDE / Math.min(width, height), LONGEST / Math.max(width, height));
  const canvas = make("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

function dataUri(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}
