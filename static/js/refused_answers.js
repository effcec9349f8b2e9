// What was refused for good stays on the device until staff have looked at it, on the page of its own session and
// nowhere else: there with its words, which session and which step. A run page says only that there is something.

import { dropSent } from "./device.js";
import { tell } from "./outbox.js";

const TITLES = { conflict: "An answer came twice", after_end: "An answer came after the end" };
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

// `/run/<session>/baseline/3/` is the step baseline/3.
function stepOf(entry) {
  return entry.path.split("/").slice(3, -1).join("/");
}

function card(entry) {
  const box = made("article", "", { className: "notice warn" });
  const inside = document.createElement("div");
  inside.className = "stack tight";
  inside.append(
    made("strong", TITLES[entry.refusal.error] ?? "An answer on this device was not taken"),
    made("p", `Session ${entry.session.slice(0, 8)}, step ${stepOf(entry)}. ${entry.refusal.message}`),
  );
  const said = words(entry);
  if (said) inside.append(made("p", said, { className: "said" }));
  const actions = document.createElement("div");
  actions.className = "row";
  if (!entry.refusal.kept) actions.append(made("a", "Open that step", { href: entry.path, className: "button" }));
  actions.append(remove(entry));
  inside.append(actions);
  box.append(inside);
  box.dataset.order = entry.order;
  return box;
}

// For whoever answers: that something is here, in the words of the server, and never what it says.
export function mention(place, entries) {
  const texts = [...new Set(entries.map((entry) => entry.refusal.message))];
  if (texts.join() === place.dataset.said) return;
  place.dataset.said = texts.join();
  place.replaceChildren(...texts.map((text) => {
    const box = made("div", "", { className: "notice warn" });
    box.append(made("div", `${text} Staff find it on the page of this session.`));
    return box;
  }));
}

// Draws what is not there yet and takes away what is gone, so that a button in use keeps its focus.
export function draw(place, entries) {
  const orders = new Set(entries.map((entry) => String(entry.order)));
  for (const box of [...place.children]) if (!orders.has(box.dataset.order)) box.remove();
  const drawn = new Set([...place.children].map((box) => box.dataset.order));
  for (const entry of entries) if (!drawn.has(String(entry.order))) place.append(card(entry));
}
