// A chip that is being written.
import { icon, make } from "./dom.js";

/** Puts a chip with an input at the end of `list`. `onDone(words)` comes once: with Enter, when it is left, or with
 * nothing after Escape. */
export function openDraft(list, sign, onDone) {
  list.querySelector(".draft input")?.blur();
  const label = sign > 0 ? "Words to add" : "Words that must not fit";
  const placeholder = sign > 0 ? "what must fit, too" : "what must not fit";
  const input = make("input", { type: "text", maxLength: 500, ariaLabel: label, placeholder, enterKeyHint: "done" });
  const className = `chip draft ${sign > 0 ? "wanted" : "unwanted"}`;
  const item = make("li", { className }, icon(sign > 0 ? "plus" : "minus"), input);
  let isOpen = true;

  function close(words) {
    if (!isOpen) return; // taking it off blurs it, which ends here again
    isOpen = false;
    item.remove();
    onDone(words);
  }

  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault(); // the form's own Enter would search before the chip is there
    close(event.key === "Enter" ? input.value.trim() : "");
  });
  input.addEventListener("blur", () => close(input.value.trim()));
  list.append(item);
  input.focus();
}
