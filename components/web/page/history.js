// Earlier photos: the list below, newest first. Each can be opened again.

import { at, make, show } from "./dom.js";
import * as words from "./words.js";

// So many at a time.
const PAGE = 8;
// Larger photos are not fetched for a picture the size of a thumb, in bytes.
const MAX_THUMB = 3_000_000;

const FIELDS = `uploadId objectKey correlationId filename state createdAt bytes reason
  steps { name state startedAt endedAt reason }
  recognitionPayload {
    provider { name apiVersion featureset maxResults }
    aggregate { brand type model name typeSource confidence isConfident typeConfidence weight year attachments evidence { kind text } }
  }`;
const LIST = `query Uploads($limit: Int, $after: String) { uploads(limit: $limit, after: $after) { ${FIELDS} } }`;
const ONE = `query Upload($id: String!) { upload(id: $id) { ${FIELDS} } }`;
const URL_OF = "query ImageUrl($key: String!) { imageUrl(objectKey: $key) { url } }";

export class History {
  #graphql;
  #items = new Map();
  #thumbs = new Map();
  #loading = null;

  constructor(graphql) {
    this.#graphql = graphql;
    at("more").addEventListener("click", () => this.load(true));
  }

  /** One upload, or null. */
  async upload(id) {
    return (await this.#graphql.ask(ONE, { id })).upload;
  }

  /** An address at which a photo can be shown for some minutes, or null. */
  async photo(objectKey) {
    try {
      const { imageUrl } = await this.#graphql.ask(URL_OF, { key: objectKey });
      return imageUrl ? here(imageUrl.url) : null;
    } catch {
      return null;
    }
  }

  /** Loads the newest, or `older` ones behind those that are shown. */
  async load(older = false) {
    // Two at once would mix their pages.
    while (this.#loading) await this.#loading;
    this.#loading = this.#load(older).finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #load(older) {
    const shown = [...this.#items.keys()];
    const after = older ? shown.at(-1) : undefined;
    const { uploads } = await this.#graphql.ask(LIST, { limit: PAGE, after });
    if (!older) this.#items.clear();
    for (const upload of uploads) this.#items.set(upload.uploadId, upload);
    show(at("more"), uploads.length === PAGE);
    this.#draw();
  }

  /** Empties the list: somebody else is signed in. */
  clear() {
    this.#items.clear();
    this.#thumbs.clear();
    this.#draw();
  }

  #draw() {
    const all = [...this.#items.values()].filter((upload) => upload.state !== "pending");
    show(at("earlier-empty"), all.length === 0);
    at("earlier").replaceChildren(...all.map((upload) => this.#item(upload)));
  }

  #item(upload) {
    const aggregate = upload.recognitionPayload?.aggregate;
    const title = aggregate?.isConfident ? aggregate.name : aggregate ? "Not recognised" : upload.state === "failed" ? "No answer" : "Under way";
    const percent = aggregate?.isConfident ? `${Math.round(aggregate.confidence * 100)} %` : null;
    const kind = upload.state === "completed" && !aggregate?.isConfident ? "unsure" : upload.state;
    const lines = [aggregate?.isConfident ? words.capital(aggregate.type) : null, words.ago(upload.createdAt)];
    return make(
      "li",
      {},
      make(
        "a",
        { class: "item", href: `#upload=${encodeURIComponent(upload.uploadId)}` },
        make("span", { class: "thumb", "data-state": kind }, this.#thumb(upload)),
        make("span", { class: "item-text" }, make("strong", {}, title), make("span", { class: "faint" }, lines.filter(Boolean).join(" · "))),
        make("span", { class: "badge", "data-state": kind }, percent ?? (kind === "unsure" ? "Not sure" : words.state[upload.state] ?? upload.state)),
      ),
    );
  }

  #thumb(upload) {
    if (!upload.bytes || upload.bytes > MAX_THUMB) return null;
    const known = this.#thumbs.get(upload.uploadId);
    if (known) return known;
    const image = make("img", { alt: "", width: 64, height: 64, decoding: "async" });
    show(image, false);
    image.addEventListener("load", () => show(image));
    this.#thumbs.set(upload.uploadId, image);
    this.photo(upload.objectKey).then((address) => address && (image.src = address));
    return image;
  }
}

/**
 * A pre-signed address as this page can reach it. It names the platform as configured; opened
 * under another name of the same machine (127.0.0.1), the page has to stay with that name.
 */
export function here(address) {
  const url = new URL(address, location.href);
  return url.pathname.startsWith("/blobs/") ? url.pathname + url.search : url.href;
}
