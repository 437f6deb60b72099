// The answer: which machine, how sure, by what evidence. Or why there is none.

import { at, announce, icon, make, show } from "./dom.js";
import * as words from "./words.js";

const ICONS = {
  "fleet-tag": "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 14h2v2h-2zM14 18h2v2h-2zM18 18h2v2h-2z",
  livery: "M12 3c4 5 6 8 6 11a6 6 0 1 1-12 0c0-3 2-6 6-11z",
  other: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
};

/** Takes the answer away. */
export function clear() {
  const card = at("result");
  card.replaceChildren();
  show(card, false);
}

/** Shows what was recognised. */
export function recognised({ provider, aggregate }, ids) {
  const machine = aggregate.isConfident ? aggregate.name ?? "A machine" : null;
  const title = machine ?? (aggregate.name ? `Perhaps: ${aggregate.name}` : "No machine recognised");
  const percent = Math.round(aggregate.confidence * 100);
  const meter = make("div", { class: "meter", role: "img", "aria-label": `Confidence ${percent} percent` });
  const fill = make("span", { class: "meter-fill" });
  // Styles from scripts go through the object model, which the policy allows.
  fill.style.inlineSize = `${percent}%`;
  meter.append(fill);
  put(
    aggregate.isConfident ? "sure" : "unsure",
    make("p", { class: "kicker" }, aggregate.isConfident ? "Recognised" : "Looked at"),
    make("h2", { id: "result-title", class: "machine" }, title),
    aggregate.type && machine
      ? make("p", { class: "type" }, words.capital(aggregate.type), note(aggregate))
      : null,
    aggregate.confidence > 0 && make("div", { class: "sure-row" }, meter, make("p", { class: "sure-text" }, make("strong", {}, words.sureness(aggregate)), ` ${percent} %`)),
    aggregate.isConfident ? null : make("p", { class: "hint" }, hint(aggregate)),
    facts(aggregate),
    evidence(aggregate.evidence ?? []),
    support(ids, provider),
  );
  announce(`${title}. ${aggregate.type ?? ""}. ${words.sureness(aggregate)}, ${percent} percent.`);
}

/** Shows why there is no answer. */
export function failed(reason, ids) {
  put(
    "failed",
    make("p", { class: "kicker" }, "No answer"),
    make("h2", { id: "result-title", class: "machine" }, "The photo could not be analysed"),
    make("p", { class: "reason" }, words.sentence(reason)),
    make("p", { class: "hint" }, "Take the photo again, or choose another one."),
    ids ? support(ids) : null,
  );
  announce(`The photo could not be analysed. ${words.sentence(reason)}`);
}

function put(kind, ...children) {
  const card = at("result");
  card.dataset.kind = kind;
  card.replaceChildren(...children.filter(Boolean));
  show(card);
  // On a phone the answer is below the photo; somebody who waits for it should see it come.
  if (card.getBoundingClientRect().top > innerHeight * 0.85) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
  }
}

function note({ typeSource, typeConfidence }) {
  const text = [words.source[typeSource] ?? null, typeConfidence === null || typeConfidence === undefined ? null : `${Math.round(typeConfidence * 100)} %`];
  return make("span", { class: "faint" }, ` ${text.filter(Boolean).join(", ")}`);
}

function hint({ evidence = [] }) {
  return evidence.length
    ? "This is too little to name the machine. A fleet tag in the picture helps most."
    : "Nothing in the photo says which machine it is. A fleet tag in the picture helps most.";
}

function facts(aggregate) {
  const { brand, model, year, weight, attachments = [] } = aggregate;
  const rows = [["Brand", brand], ["Model", model], ["Year", year], ["Weight", weight], ["Attachments", attachments.join(", ")]];
  const known = rows.filter(([, value]) => value);
  if (!known.length) return null;
  return make("dl", { class: "facts" }, ...known.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))));
}

function evidence(all) {
  if (!all.length) return null;
  const items = all.map(({ kind, text }) =>
    make("li", {}, icon(ICONS[kind] ?? ICONS.other, "filled"), make("div", {}, make("strong", {}, words.evidence[kind] ?? words.capital(kind)), make("span", {}, text))),
  );
  return make("div", { class: "evidence" }, make("h3", {}, "What this rests on"), make("ul", {}, ...items));
}

function support({ uploadId, correlationId, objectKey }, provider) {
  const by = provider && [provider.name, provider.apiVersion].filter(Boolean).join(" ");
  const rows = [["Upload", uploadId], ["Correlation", correlationId], ["Photo", objectKey], ["Looked at by", by]];
  const list = rows.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, make("code", {}, value))));
  return make("details", { class: "support" }, make("summary", {}, "Details for support"), make("dl", {}, ...list));
}
