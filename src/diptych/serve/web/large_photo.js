// The picture of one photo, as large as the window; where it cannot be had, in words why.
import { wasStopped } from "./api.js";
import { make } from "./dom.js";
import { thumbnail } from "./hits.js";

/** `element` with `show(hit)`, `say(text)` over its lower edge, and `stop()` to ask for no more. */
export function createLargePhoto(server) {
  const image = make("img", { decoding: "async" });
  const reason = make("p", { className: "lost-reason", role: "alert", hidden: true });
  const element = make("div", { className: "large" }, image, reason);
  let asked = new AbortController();

  function stop() {
    asked.abort();
    asked = new AbortController();
  }

  // An image element does not tell what the server said: it is asked once more.
  async function explain() {
    const { signal } = asked;
    image.hidden = true;
    try {
      await server.get(image.getAttribute("src"), { signal });
      if (reason.hidden) say("The picture could not be shown.");
    } catch (error) {
      if (!wasStopped(error) && reason.hidden) say(error.message);
    }
  }

  function say(text) {
    reason.textContent = text;
    reason.hidden = false;
  }

  image.addEventListener("error", explain);
  return {
    element,
    say,
    stop,
    // The small picture, which is there already, stands in until the large one has come.
    show(hit) {
      stop();
      const side = Math.max(innerWidth, innerHeight) * devicePixelRatio > 1200 ? 2048 : 1024;
      [image.hidden, reason.hidden] = [false, true];
      image.alt = hit.text || hit.name;
      element.style.setProperty("--small", `url("${new URL(thumbnail(hit, 512), document.baseURI)}")`);
      image.src = thumbnail(hit, side);
    },
  };
}
