// What was refused for good stays on the device, and on the page, until a person has looked at it.

import { dropSent } from "./device.js";
import { tell } from "./outbox.js";

const COUNTED = new Set(["submission_id", "shown", "position", "played", "pauses", "rewinds"]);

function made(name, text, options = {}) {
  const element = Object.assign(document.createElement(name), options);
  element.textContent = text;
  return element;
}

function words(entry) {
  return [...new URLSearchParams(entry.body)].filter(([name, value]) => value && !COUNTED.has(name)).map(([, value]) => value).join("\n");
}

function remove(entry) {
  const button = made("button", entry.refusal.kept ? "Seen" : "Remove from this device", { type: "button", className: "button" });
  button.addEventListener("click", async () => {
    const sure = entry.refusal.kept || button.dataset.sure;
    if (!sure) {
      button.dataset.sure = "yes";
      button.textContent = "Really remove it?";
      return;
    }
    await dropSent(entry.order);
    tell();
  });
  return button;
}

function card(entry) {
  const box = made("article", "", { className: "notice warn" });
  const inside = document.createElement("div");
  inside.className = "stack tight";
  inside.append(made("strong", entry.refusal.kept ? "An answer came twice" : "An answer was not taken"), made("p", entry.refusal.message));
  const said = words(entry);
  if (said) inside.append(made("p", said, { className: "said" }));
  const actions = document.createElement("div");
  actions.className = "row";
  if (!entry.refusal.kept && location.pathname !== entry.path) actions.append(made("a", "Open that step", { href: entry.path, className: "button" }));
  actions.append(remove(entry));
  inside.append(actions);
  box.append(inside);
  box.dataset.order = entry.order;
  return box;
}

// Draws what is not there yet and takes away what is gone, so that a button in use keeps its focus.
export function draw(place, entries) {
  const orders = new Set(entries.map((entry) => String(entry.order)));
  for (const box of [...place.children]) if (!orders.has(box.dataset.order)) box.remove();
  const drawn = new Set([...place.children].map((box) => box.dataset.order));
  for (const entry of entries) if (!drawn.has(String(entry.order))) place.append(card(entry));
}
