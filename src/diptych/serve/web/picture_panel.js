// Pictures to look at: one in large, the others in a strip beneath it.
import { iconButton, make } from "./dom.js";
import { pictureButton } from "./dropzone.js";
import { readPicture } from "./picture.js";
import { paintSample } from "./sample.js";
import { waiting } from "./states.js";

const touches = matchMedia("(hover: none) and (pointer: coarse)"); // nothing is dropped there, and hardly pasted

/** A panel of pictures: `element`, `add(files)`, `removeChosen()` and `chosen()`, { name, uri, preview } or null.
 *
 * `onChange()` is called when another picture is chosen or none is left, `onRefused(text)` of what cannot be read.
 */
export function createPicturePanel(server, { onChange, onRefused }) {
  const pictures = [];
  let chosen = null;

  const large = make("img", { className: "large-picture" });
  const unseen = make("p", { className: "unseen pale", hidden: true }, "This browser cannot show the picture. The server may still read it.");
  large.addEventListener("error", () => showsPicture(false));
  large.addEventListener("load", () => showsPicture(true));
  const invitation = make(
    "div",
    { className: "invitation" },
    ...(touches.matches ? [] : [make("p", {}, make("strong", {}, "Drop a picture here")), make("p", { className: "pale" }, "or paste one, or")]),
    pictureButton(touches.matches ? "Choose a picture" : "Choose pictures", add, { className: "primary" }),
    make("button", { type: "button", className: "quiet small", on: { click: async () => add([await paintSample()]) } }, "or try a painted one"),
  );
  const frame = make("div", { className: "picture-frame" }, invitation, large, unseen);
  const strip = make("ul", { className: "strip", ariaLabel: "Pictures" });
  const more = pictureButton("More pictures", add);
  const caption = make("p", { className: "picture-name pale" });
  const under = make("div", { className: "under-picture", hidden: true }, caption, more);
  const element = make("div", { className: "picture-panel" }, frame, under, strip);

  function showsPicture(does) {
    large.hidden = !does;
    unseen.hidden = does || !chosen;
  }

  async function add(files) {
    const sign = waiting("Reading the picture"); // a large one takes a second
    frame.append(sign);
    const read = await Promise.allSettled(files.map((file) => readPicture(file, server)));
    sign.remove();
    const added = read.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
    if (added.length < files.length) onRefused("A file could not be read.");
    if (!added.length) return;
    pictures.push(...added);
    choose(added[0]);
  }

  function choose(picture) {
    chosen = picture;
    show();
    onChange();
  }

  function remove(picture) {
    const index = pictures.indexOf(picture);
    pictures.splice(index, 1);
    URL.revokeObjectURL(picture.preview);
    if (picture === chosen) choose(pictures[Math.min(index, pictures.length - 1)] ?? null);
    else show();
    (strip.querySelector("[aria-pressed=true]") ?? element.querySelector("button")).focus();
  }

  function show() {
    frame.classList.toggle("vacant", !chosen);
    invitation.hidden = Boolean(chosen);
    under.hidden = !chosen;
    unseen.hidden = true;
    if (chosen) Object.assign(large, { src: chosen.preview, alt: `The picture: ${chosen.name}` });
    else large.removeAttribute("src");
    large.hidden = !chosen;
    caption.textContent = chosen?.name ?? "";
    strip.replaceChildren(...pictures.map(thumb));
    strip.hidden = !pictures.length;
  }

  function thumb(picture) {
    const button = make(
      "button",
      { type: "button", className: "thumb", ariaPressed: String(picture === chosen), ariaLabel: `Classify ${picture.name}`, on: { click: () => pick(picture) } },
      make("img", { src: picture.preview, alt: "" }),
    );
    return make("li", {}, button, iconButton("close", `Remove ${picture.name}`, () => remove(picture), "remove-picture"));
  }

  function pick(picture) {
    choose(picture);
    strip.querySelector("[aria-pressed=true]").focus(); // the strip was drawn anew
  }

  show();
  return { element, add, removeChosen: () => remove(chosen), chosen: () => chosen };
}
