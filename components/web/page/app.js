// The page: puts its parts together.

import * as analysis from "./analysis.js";
import { announce, at, notice, show } from "./dom.js";
import { GraphQL } from "./graphql.js";
import { History } from "./history.js";
import * as result from "./result.js";
import { Session, SignInNeeded } from "./session.js";
import { Steps } from "./steps.js";
import * as words from "./words.js";

const session = new Session();
const graphql = new GraphQL(session);
const history = new History(graphql);
const steps = new Steps();

// What is being sent or looked at; a new one ends it.
let current = null;
let preview = null;

function begin() {
  current?.abort(new DOMException("another photo", "AbortError"));
  current = new AbortController();
  notice(null);
  result.clear();
  steps.reset();
  return current.signal;
}

/** What the parts report, shown. */
function reporter() {
  return {
    ids: ({ uploadId }) => remember(uploadId),
    started: () => {
      steps.done("upload");
      steps.done("confirm");
      steps.done("analysis", { detail: "started" });
    },
    progress: ({ step, state, took }) => {
      if (state === "started") steps.begin(step);
      else if (state === "completed") steps.done(step, { took });
      else if (state === "failed") steps.failed(step);
    },
    completed: (payload, ids) => {
      for (const key of ["upload", "confirm", "analysis", "recognition", "end"]) steps.done(key);
      result.recognised(payload, ids);
    },
    failed: (reason, step, ids) => {
      steps.failed(step ?? steps.current);
      result.failed(reason, ids);
    },
  };
}

async function send(file) {
  const reason = analysis.unfit(file);
  if (reason) return notice(reason);
  const signal = begin();
  showPhoto(URL.createObjectURL(file), `${file.name || "Photo"} · ${words.size(file.size)}`, true);
  announce("The photo is being sent.");
  await guarded(signal, () => analysis.send(graphql, history, file, steps, reporter(), signal));
  refresh();
}

/** Shows an upload of before; one that is under way is followed. */
async function open(id) {
  const signal = begin();
  showPhoto(null);
  await guarded(signal, async () => {
    const upload = await history.upload(id);
    if (signal.aborted) return;
    if (!upload) {
      notice("This upload is not there, or not yours.");
      return;
    }
    history.photo(upload.objectKey).then((address) => {
      if (!signal.aborted) showPhoto(address, [upload.filename, upload.bytes && words.size(upload.bytes), words.ago(upload.createdAt)].filter(Boolean).join(" · "));
    });
    const on = reporter();
    if (!analysis.settle(upload, on)) await analysis.follow(graphql, history, upload, on, signal);
  });
}

/** Runs something and says in plain words what went wrong. */
async function guarded(signal, work) {
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return;
    current?.abort(error);
    if (error instanceof SignInNeeded) return signIn(error.message);
    const text = error instanceof TypeError ? "The platform cannot be reached. Please check the connection." : words.problem(error);
    steps.failed(steps.current);
    result.failed(text);
  }
}

async function refresh() {
  try {
    await history.load();
  } catch (error) {
    if (error instanceof SignInNeeded) signIn(error.message);
    else if (!(error instanceof TypeError)) notice(words.problem(error));
  }
}

function showPhoto(address, about = "", own = false) {
  if (preview) URL.revokeObjectURL(preview);
  preview = own ? address : null;
  const image = at("preview");
  show(image, Boolean(address));
  show(at("invite"), !address);
  if (address) image.src = address;
  else image.removeAttribute("src");
  at("about").textContent = about;
  show(at("about"), Boolean(about));
  at("pick-label").lastChild.textContent = address ? "Choose another" : "Choose a photo";
}

// The address names the upload, so that reloading or the way back find it again.
const fromAddress = () => new URLSearchParams(location.hash.slice(1)).get("upload");
let remembered = null;

function remember(uploadId) {
  remembered = uploadId;
  location.hash = `upload=${uploadId}`;
}

addEventListener("hashchange", () => {
  const id = fromAddress();
  if (id === remembered) return;
  remembered = id;
  if (id) {
    open(id);
    at("photo").focus({ preventScroll: true });
    scrollTo({ top: 0 });
  } else {
    begin();
    showPhoto(null);
  }
});

// ---- Photos come from the pickers, by drag and drop, or from the clipboard.

for (const picker of [at("pick"), at("shoot")]) {
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    if (file) send(file);
    // The same photo can be chosen again.
    picker.value = "";
  });
}

const stage = at("stage");
let depth = 0;
const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => {
  if (carries(event) && ++depth === 1) stage.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (carries(event) && --depth <= 0) stage.classList.remove("over");
});
addEventListener("dragover", (event) => carries(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  depth = 0;
  stage.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) send(file);
});
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (file) send(file);
});

// ---- Signing in.

function signIn(message) {
  show(at("sign-in"));
  if (message && message !== "Please sign in.") notice(message);
  at("token").focus();
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  session.use(at("token").value);
  at("token").value = "";
  show(at("sign-in"), false);
  notice(null);
  start();
});

function account() {
  const button = at("account");
  button.textContent = session.development ? session.name : "Signed in";
  button.setAttribute("aria-label", session.development ? `Signed in as ${session.name}. Change` : "Signed in. Change");
  show(button);
}

at("account").addEventListener("click", () => {
  if (!session.development) return signIn();
  at("account-name").value = session.name;
  at("account-dialog").showModal();
  at("account-name").select();
});
at("account-cancel").addEventListener("click", () => at("account-dialog").close());
at("account-form").addEventListener("submit", () => {
  const name = at("account-name").value.trim();
  if (!name || name === session.name) return;
  session.rename(name);
  // What the one saw is not for the other.
  begin();
  showPhoto(null);
  history.clear();
  remembered = null;
  location.hash = "";
  start();
});

// ---- The live connection.

graphql.onsignin = (error) => signIn(error.message);
graphql.onlink = (state) => {
  at("link").dataset.state = state;
  at("link-text").textContent = { on: "Live", wait: "Connecting", off: "Not connected" }[state];
};

at("refresh").addEventListener("click", refresh);

let ending = null;

async function start() {
  try {
    await session.token();
  } catch (error) {
    if (error instanceof SignInNeeded) return signIn(error.message);
    return notice(error instanceof TypeError ? "The platform cannot be reached. Please reload the page." : error.message);
  }
  account();
  graphql.restart();
  // Whatever ends, from this page or another device, shows up in the list.
  ending?.();
  ending = graphql.subscribe("subscription Ended { onAnalysisCompleted { uploadId } }", {}, { next: refresh });
  refresh();
  const id = fromAddress();
  if (id && id !== remembered) {
    remembered = id;
    open(id);
  }
}

start();
