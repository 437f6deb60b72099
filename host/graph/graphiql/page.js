// GraphiQL with this platform's login: everything is asked with the caller's own token, of the
// address that this page came from. Queries and mutations are requests; subscriptions are
// server-sent events, because a request can carry the token and a reconnect its last event.

const here = document.currentScript;
// Parts of GraphiQL make style elements; the page's policy lets in those with this word.
globalThis.__webpack_nonce__ = here.dataset.style;
const development = here.dataset.login === "development";
const TOKEN = "monopod.graphiql.token";
const URL = "/graphql";
// A stream that breaks off is opened again so often without an event in between, each time
// waiting longer.
const RETRIES = 5;

const at = (id) => document.getElementById(id);
let token = sessionStorage.getItem(TOKEN);

const claims = (text) => {
  try {
    return JSON.parse(atob(text.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {};
  }
};

const become = (next) => {
  token = next;
  if (next) sessionStorage.setItem(TOKEN, next);
  else sessionStorage.removeItem(TOKEN);
  const { sub, scp, scope, exp } = next ? claims(next) : {};
  const scopes = scp ?? scope ?? "";
  const until = exp ? `, until ${new Date(exp * 1_000).toLocaleTimeString()}` : "";
  at("caller").textContent = next ? `${sub ?? "a token"}${scopes ? ` (${scopes})` : ""}${until}` : "nobody is signed in";
};

const signIn = async () => {
  const pasted = at("token").value.trim().replace(/^Bearer\s+/i, "");
  at("token").value = "";
  if (pasted || !development) return become(pasted || token);
  const answer = await fetch("/identity/token", {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: at("name").value.trim(),
      scope: at("scopes").value.trim(),
    }),
  });
  const told = await answer.json();
  if (answer.ok) become(told.access_token);
  else at("caller").textContent = `not signed in: ${told.error_description ?? answer.status}`;
};

const headers = (accept, more) => ({
  accept,
  "content-type": "application/json",
  ...more,
  ...(token ? { authorization: `Bearer ${token}` } : {}),
});

const ask = async (params, more) => {
  const accept = "application/graphql-response+json, application/json;q=0.9";
  const answer = await fetch(URL, { method: "POST", headers: headers(accept, more), body: JSON.stringify(params) });
  return answer.json();
};

/** The events of a subscription, as GraphiQL takes them: an async iterator that can be left at once. */
const watch = (params, more) => {
  const stop = new AbortController();
  const events = read(params, more, stop.signal);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => events.next().catch((error) => {
      if (stop.signal.aborted) return { done: true, value: undefined };
      throw error;
    }),
    return: async () => {
      stop.abort();
      return { done: true, value: undefined };
    },
  };
};

async function* read(params, more, signal) {
  let last = null;
  for (let tries = 0; tries < RETRIES; tries += 1) {
    const back = last === null ? {} : { "last-event-id": last };
    const answer = await fetch(URL, {
      method: "POST",
      headers: { ...headers("text/event-stream", more), ...back },
      body: JSON.stringify(params),
      signal,
    });
    if (!answer.ok || !answer.headers.get("content-type")?.startsWith("text/event-stream")) {
      yield await answer.json();
      return;
    }
    let rest = "";
    try {
      for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const line = (name) => block.split("\n").find((each) => each.startsWith(`${name}: `))?.slice(name.length + 2);
          last = line("id") ?? last;
          if (block.startsWith("event: complete")) return;
          if (line("data")) {
            tries = 0;
            yield JSON.parse(line("data"));
          }
        }
      }
    } catch (error) {
      if (signal.aborted) throw error;
    }
    await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
  }
  throw new Error("The stream broke off and cannot be opened again.");
}

const isSubscription = ({ operationName }, { documentAST }) =>
  documentAST?.definitions.some(
    (each) => each.operation === "subscription" && (!operationName || each.name?.value === operationName),
  );

const fetcher = (params, options = {}) =>
  isSubscription(params, options) ? watch(params, options.headers) : ask(params, options.headers);

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn().catch((error) => (at("caller").textContent = `not signed in: ${error.message}`));
});
at("sign-out").addEventListener("click", () => become(null));
document.querySelector("[data-for=name]").hidden = !development;
at("name").value = "visitor";
become(token);

const asked = new URLSearchParams(location.search);
ReactDOM.createRoot(at("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher,
    query: asked.get("query") ?? undefined,
    variables: asked.get("variables") ?? undefined,
    defaultQuery: "# Ctrl-Enter runs it, Ctrl-Space completes; the book on the left shows the schema.\n\n{ __typename }\n",
  }),
);
