// One photo's way: checksum, upload, confirmation, then the events of its analysis.

import { here } from "./history.js";
import * as words from "./words.js";

const TYPES = ["image/jpeg", "image/png", "image/webp"];
const MAX_BYTES = 10 * 1024 * 1024;
// Without an event for so long the platform is asked how far it is, in milliseconds.
const PATIENCE = 4_000;

const START = `mutation Start($filename: String!, $contentType: String!) {
  startUpload(filename: $filename, contentType: $contentType) {
    correlationId imageUploadPayload { uploadId key putUrl expiresAt }
  }
}`;
const CONFIRM = `mutation Confirm($uploadId: String!, $bytes: Int!, $checksum: String!) {
  confirmUpload(uploadId: $uploadId, bytes: $bytes, checksum: $checksum) { status }
}`;
const STARTED = "subscription Started($id: String) { onAnalysisStarted(uploadId: $id) { objectKey correlationId } }";
const PROGRESS = "subscription Progress($id: String) { onAnalysisProgress(uploadId: $id) { step state } }";
const COMPLETED = `subscription Completed($id: String) {
  onAnalysisCompleted(uploadId: $id) {
    success correlationId objectKey
    recognitionPayload {
      provider { name apiVersion featureset maxResults }
      aggregate { brand type model name typeSource confidence isConfident typeConfidence weight year attachments evidence { kind text } }
    }
  }
}`;
const FAILED = "subscription Failed($id: String) { onAnalysisFailed(uploadId: $id) { reason step correlationId objectKey } }";

/** Why a file is not taken, or null. */
export function unfit(file) {
  if (!TYPES.includes(file.type)) return "Please choose a JPEG, PNG or WebP photo.";
  if (file.size === 0) return "This file is empty.";
  if (file.size > MAX_BYTES) return `This photo has ${words.size(file.size)}. At most 10 MB can be sent.`;
  return null;
}

/**
 * Sends a photo and follows its analysis.
 * `on` has `ids`, `started`, `progress`, `completed`, `failed`, each called with what is known.
 * `signal` ends it.
 */
export async function send(graphql, history, file, steps, on, signal) {
  steps.begin("upload", "Checksum");
  const bytes = await file.arrayBuffer();
  if (!crypto.subtle) throw new Error("This browser offers checksums only over HTTPS.");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const checksum = `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  signal.throwIfAborted();

  const filename = (file.name || "photo").slice(-120);
  const { startUpload } = await graphql.ask(START, { filename, contentType: file.type });
  const { uploadId, key, putUrl } = startUpload.imageUploadPayload;
  const ids = { uploadId, objectKey: key, correlationId: startUpload.correlationId };
  on.ids(ids);
  // Before anything can happen, so that nothing is missed.
  const following = follow(graphql, history, ids, on, signal);
  // What ends the upload ends the following too, and is told once.
  following.catch(() => {});

  signal.throwIfAborted();
  await put(here(putUrl), file, signal, (sent) => {
    steps.advance("upload", sent / file.size, `${words.size(sent)} of ${words.size(file.size)}`);
  });
  steps.done("upload", { detail: words.size(file.size) });

  steps.begin("confirm");
  signal.throwIfAborted();
  await graphql.ask(CONFIRM, { uploadId, bytes: file.size, checksum });
  steps.done("confirm");
  steps.begin("analysis");
  steps.from("end");
  return following;
}

/**
 * Follows the analysis of an upload to its end. The end is found even if every event is lost:
 * when nothing came for a while the platform is asked.
 */
export function follow(graphql, history, ids, on, signal) {
  return new Promise((resolve, reject) => {
    let timer;
    let over = false;
    const endings = [];
    const end = (then, value) => {
      over = true;
      clearTimeout(timer);
      endings.splice(0).forEach((stop) => stop());
      then(value);
    };
    const wait = () => {
      clearTimeout(timer);
      if (!over) timer = setTimeout(check, PATIENCE);
    };
    const check = async () => {
      try {
        const upload = await history.upload(ids.uploadId);
        if (over) return;
        if (upload && settle(upload, on)) return end(resolve);
      } catch {
        // Asked again below.
      }
      wait();
    };
    const listen = (query, then) =>
      endings.push(
        graphql.subscribe(query, { id: ids.uploadId }, {
          next: (data) => {
            if (over) return;
            wait();
            then(data);
          },
          // Without events there is still asking.
          error: () => {},
        }),
      );
    if (signal.aborted) return end(reject, signal.reason);
    signal.addEventListener("abort", () => end(reject, signal.reason));
    listen(STARTED, ({ onAnalysisStarted: event }) => on.started({ ...ids, ...event }));
    listen(PROGRESS, ({ onAnalysisProgress: event }) => on.progress(event));
    listen(COMPLETED, ({ onAnalysisCompleted: event }) => {
      // Without success the other subscription says why.
      if (!event.success || !event.recognitionPayload) return;
      on.completed(event.recognitionPayload, { ...ids, correlationId: event.correlationId });
      end(resolve);
    });
    listen(FAILED, ({ onAnalysisFailed: event }) => {
      on.failed(event.reason, event.step, { ...ids, correlationId: event.correlationId });
      end(resolve);
    });
    wait();
  });
}

/** Tells what is known of an upload as if its events came; answers whether it has ended. */
export function settle(upload, on) {
  const { uploadId, objectKey, correlationId, state, steps = [], recognitionPayload, reason } = upload;
  const ids = { uploadId, objectKey, correlationId };
  if (["analysing", "completed", "failed"].includes(state)) on.started(ids);
  for (const { name, state: how, startedAt, endedAt } of steps) {
    const took = endedAt ? new Date(endedAt) - new Date(startedAt) : undefined;
    on.progress({ step: name, state: how, took });
  }
  if (state === "completed" && recognitionPayload) on.completed(recognitionPayload, ids);
  else if (state === "failed") on.failed(reason ?? "the analysis failed", steps.find(({ state: how }) => how === "failed")?.name, ids);
  else return false;
  return true;
}

/** Writes the photo. `fetch` cannot say how much was sent; the older way can. */
function put(address, file, signal, sent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.setRequestHeader("content-type", file.type);
    request.upload.onprogress = ({ loaded }) => sent(Math.min(loaded, file.size));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      let said;
      try {
        said = JSON.parse(request.responseText).error;
      } catch {
        // Not ours to explain.
      }
      reject(new Error(said ?? `The photo was not taken in (${request.status}).`));
    };
    request.onerror = () => reject(new Error("The connection broke while the photo was sent."));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
