// Small helpers for the document. Text goes in as text, never as markup.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/**
 * Makes an element: `make("p", { class: "faint" }, "text", other)`.
 * Attributes that are null, undefined or false are left out.
 */
export function make(name, attributes, ...children) {
  const element = document.createElement(name);
  fill(element, attributes, children);
  return element;
}

/** Makes an icon of one path, on a grid of 24. It is decoration: texts say what it means. */
export function icon(path, kind = "") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  fill(svg, { viewBox: "0 0 24 24", class: `icon ${kind}`.trim(), "aria-hidden": "true", focusable: "false" }, []);
  const shape = document.createElementNS(space, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
}

/** Shows or hides an element. */
export function show(element, visible = true) {
  element.hidden = !visible;
}

/** Says something to people who listen to the page instead of looking at it. */
export function announce(text) {
  at("live").textContent = text;
}

/** Shows a message above everything, or takes it away. */
export function notice(text) {
  const element = at("notice");
  element.textContent = text ?? "";
  show(element, Boolean(text));
}
