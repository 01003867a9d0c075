/** The parts of the page's HTML that its program fills, by their ids. */

/** The element with an id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

/** The input with an id. */
export function inputById(id: string): HTMLInputElement {
  const found = byId(id);
  if (!(found instanceof HTMLInputElement)) throw new Error(`${id} is no input`);
  return found;
}

/** The button with an id. */
export function buttonById(id: string): HTMLButtonElement {
  const found = byId(id);
  if (!(found instanceof HTMLButtonElement)) throw new Error(`${id} is no button`);
  return found;
}

/** The progress bar with an id. */
export function progressById(id: string): HTMLProgressElement {
  const found = byId(id);
  if (!(found instanceof HTMLProgressElement)) throw new Error(`${id} is no progress bar`);
  return found;
}

/** Writes text into an element, if it is another one. */
export function write(id: string, text: string): void {
  const found = byId(id);
  if (found.textContent !== text) found.textContent = text;
}

/** Writes a number and a small unit behind it. */
export function writeValue(id: string, value: string, unit: string = ""): void {
  const found = byId(id);
  if (found.dataset["shown"] === `${value} ${unit}`) return;
  found.dataset["shown"] = `${value} ${unit}`;
  const small = document.createElement("small");
  small.textContent = unit;
  found.replaceChildren(value, ...(unit === "" ? [] : [small]));
}

/** A new element with text. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  text: string = "",
  className: string = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}
