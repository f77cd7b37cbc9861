// The hits of one search, a page at a time.

const FARTHEST = 10_000; // the server skips no more hits than that

/** `load({ top, skip })` answers one page; `more()` adds it to `hits`, and calls at the same time share one request. */
export function createPages(load, top) {
  let running = null;
  const pages = {
    hits: [],
    ended: false,
    more() {
      running ??= fetchPage().finally(() => (running = null));
      return running;
    },
  };
  async function fetchPage() {
    const answer = await load({ top, skip: pages.hits.length });
    pages.hits.push(...answer.hits);
    pages.ended = answer.hits.length < top || pages.hits.length > FARTHEST;
    return answer;
  }
  return pages;
}
