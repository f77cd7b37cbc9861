// The server's REST interface. All addresses are relative to the page, so a proxy may put it under any prefix.

/** What the server refused, or that it was not reached: `message` is for people. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, type = "", items = [] }) {
    super(detail || title);
    this.name = "Problem";
    this.title = title;
    this.status = status;
    this.slug = type.replace("urn:diptych:problem:", "");
    this.items = items;
  }
}

/** The server as views see it. Every call takes `{ signal }` and throws Problem, or AbortError where it was stopped. */
export function connect() {
  let facts = null;
  return {
    get: (path, options) => request(path, { ...options, method: "GET" }),
    post: (path, body, options) => request(path, { ...options, ...encode(body), method: "POST" }),
    remove: (path, options) => request(path, { ...options, method: "DELETE" }),
    /** `v1/server`, asked for once. */
    facts() {
      facts ??= request("v1/server", { method: "GET" }).catch((error) => {
        facts = null;
        throw error;
      });
      return facts;
    },
  };
}

/** Whether a call ended because its own signal stopped it, which is no failure. */
export function wasStopped(error) {
  return error?.name === "AbortError";
}

function encode(body) {
  if (body instanceof FormData) return { body };
  return { body: JSON.stringify(body ?? {}), headers: { "Content-Type": "application/json" } };
}

async function request(path, options) {
  const response = await send(path, options);
  if (response.status === 401) return signIn();
  const answer = await readJson(response);
  if (response.ok) return answer;
  throw new Problem(
    answer ?? { title: "The server failed", detail: `It answered ${response.status}.`, status: response.status },
  );
}

async function send(path, { headers = {}, ...options }) {
  try {
    return await fetch(path, {
      credentials: "same-origin",
      headers: { Accept: "application/json", ...headers },
      ...options,
    });
  } catch (error) {
    if (wasStopped(error)) throw error;
    throw new Problem({ title: "Not reached", detail: "The server does not answer. Is it still running?" });
  }
}

async function readJson(response) {
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return null;
  try {
    return await response.json();
  } catch (error) {
    if (wasStopped(error)) throw error;
    return null;
  }
}

// The fragment goes along: after signing in the browser is where it was.
function signIn() {
  location.assign(`login${location.hash}`);
  return new Promise(() => {}); // the page is about to go: nothing more is drawn on it
}
