// A view's state in the link, changed as somebody types: without a step in the browser's history for every letter.

/** Puts `params` (URLSearchParams) behind the view's name in the link, and in its tab, which leads back to it. */
export function keepInLink(view, params) {
  const hash = `#${view}${params.size ? `?${params}` : ""}`;
  if (location.hash === hash) return;
  history.replaceState(history.state, "", hash);
  document.querySelector(".tabs a[aria-current]")?.setAttribute("href", hash);
}
