// What the page says: sizes, times, names of things, and errors in plain words.

/** 212 KB, 3.4 MB. */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** 14 ms, 1.2 s, 3 min. */
export function lasted(milliseconds) {
  if (milliseconds < 1_000) return `${Math.max(1, Math.round(milliseconds))} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  return `${Math.round(milliseconds / 60_000)} min`;
}

/** "12 minutes ago", "yesterday". */
export function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1_000;
  if (Number.isNaN(seconds)) return "";
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, length] of [["day", 86_400], ["hour", 3_600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return format.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

/** A sentence: capital letter, full stop. */
export function sentence(text) {
  const trimmed = (text ?? "").trim();
  if (!trimmed) return "";
  const first = trimmed[0].toLocaleUpperCase("en") + trimmed.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** First letter as a capital: "wheel loader" becomes "Wheel loader". */
export const capital = (text) => (text ? text[0].toLocaleUpperCase("en") + text.slice(1) : "");

/** Where evidence comes from. */
export const evidence = {
  "fleet-tag": "Fleet tag",
  exif: "The camera’s texts (EXIF)",
  xmp: "The file’s texts (XMP)",
  iptc: "The file’s texts (IPTC)",
  text: "The file’s texts",
  livery: "Livery",
};

/** What the type rests on. */
export const source = {
  "fleet-tag": "from its fleet tag",
  exif: "from the camera’s texts",
  xmp: "from the file’s texts",
  iptc: "from the file’s texts",
  text: "from the file’s texts",
  model: "from the model’s number",
};

/** What the steps of an analysis are called. */
export const step = {
  recognition: "Recognition",
  comparison: "Comparison with earlier machines",
  metadata: "Attributes",
};

/** How sure, in words. */
export function sureness(aggregate) {
  const { confidence, isConfident } = aggregate;
  if (confidence >= 0.9) return "Very sure";
  if (confidence >= 0.7) return "Sure";
  if (isConfident) return "Fairly sure";
  return "Not sure";
}

/** Where an upload is on its way. */
export const state = {
  pending: "Not sent",
  uploaded: "Waiting",
  analysing: "Under way",
  completed: "Done",
  failed: "Failed",
};

// Codes that a client can do something about, said so that a person knows what.
const codes = {
  FORBIDDEN: "Your sign-in does not allow analyses.",
  UNAUTHORIZED_FIELD_OR_TYPE: "Your sign-in does not allow analyses.",
  UNPROCESSABLE: "The photo was not accepted",
  NOT_FOUND: "This upload is not there, or not yours.",
  UPSTREAM_ERROR: "The platform could not do this now. Please try again.",
  RATE_LIMITED: "That was a little fast. Please wait a moment and try again.",
};

/** An error in plain words. */
export function problem(error) {
  const { code, errors } = error?.extensions ?? {};
  if (errors) {
    const fields = Object.entries(errors).map(([field, texts]) => `${field}: ${[texts].flat().join(", ")}`);
    return sentence(`${codes.UNPROCESSABLE} (${fields.join("; ")})`);
  }
  return sentence(codes[code] ?? error?.message ?? "Something went wrong");
}
