// The steps of an upload and its analysis, as a list that fills while they happen.

import { at, announce, icon, make } from "./dom.js";
import * as words from "./words.js";

const MARKS = {
  done: "M5 12.5l4.5 4.5L19 7.5",
  failed: "M7 7l10 10M17 7L7 17",
};

export class Steps {
  #list = at("steps");
  #items = new Map();

  constructor() {
    this.reset();
  }

  /** Back to the beginning. */
  reset() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#add("upload", "Upload");
    this.#add("confirm", "Confirmation");
    this.#add("analysis", "Analysis");
    this.#add("recognition", words.step.recognition);
    this.#add("end", "Answer");
  }

  #add(key, label, before = null) {
    const mark = make("span", { class: "mark", "aria-hidden": "true" });
    const detail = make("span", { class: "detail" });
    const item = make("li", { class: "step", "data-state": "waiting" }, mark, make("span", { class: "label" }, label), detail);
    this.#list.insertBefore(item, before ? this.#items.get(before).item : null);
    this.#items.set(key, { item, mark, detail, label, began: null, bar: null });
    return this.#items.get(key);
  }

  /** A step the page did not know of stands before the answer. */
  #of(key) {
    return this.#items.get(key) ?? this.#add(key, words.step[key] ?? words.capital(key), "end");
  }

  /** A step began. */
  begin(key, detail = "") {
    const step = this.#of(key);
    // Events may overtake one another; what ended stays ended.
    if (["done", "failed"].includes(step.item.dataset.state)) return;
    step.began ??= performance.now();
    this.#set(step, "busy", detail);
  }

  /** A step's time counts from now, though it is not under way yet. */
  from(key) {
    this.#of(key).began = performance.now();
  }

  /** How far a step is, 0 to 1. */
  advance(key, share, detail) {
    const step = this.#of(key);
    if (!step.bar) {
      step.bar = make("progress", { max: 100, "aria-label": step.label });
      step.item.append(step.bar);
    }
    step.bar.value = share * 100;
    step.detail.textContent = detail;
  }

  /** A step ended well. `took` in milliseconds; without it, since it began. */
  done(key, { detail = "", took } = {}) {
    const step = this.#of(key);
    if (step.item.dataset.state === "done") return;
    const time = took ?? (step.began === null ? null : performance.now() - step.began);
    const text = time === null ? "" : words.lasted(time) + (key === "end" ? " after confirmation" : "");
    this.#set(step, "done", [detail, text].filter(Boolean).join(" · "));
    announce(`${step.label}: done.`);
  }

  /** A step ended badly; what came after it does not happen. */
  failed(key, detail = "") {
    const step = this.#of(key);
    this.#set(step, "failed", detail);
    for (const other of this.#items.values()) {
      if (["waiting", "busy"].includes(other.item.dataset.state)) this.#set(other, "skipped", "");
    }
  }

  /** The first step that is under way, or else the first that waits. */
  get current() {
    const all = [...this.#items];
    const find = (state) => all.find(([, { item }]) => item.dataset.state === state)?.[0];
    return find("busy") ?? find("waiting") ?? "end";
  }

  #set(step, state, detail) {
    step.item.dataset.state = state;
    step.detail.textContent = detail;
    step.mark.replaceChildren(...(MARKS[state] ? [icon(MARKS[state])] : []));
    if (state !== "busy") {
      step.bar?.remove();
      step.bar = null;
    }
  }
}
