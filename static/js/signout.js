// Nobody signs out while answers are on this device that the store has not acknowledged: the next person could not
// send them. Staff pages send them too, and say how many are left.

import { canKeep } from "./device.js";
import { flush, follow, setAside, trouble, waiting } from "./outbox.js";
import { draw } from "./aside.js";
import { dropOtherPages } from "./pack.js";

const form = document.querySelector("form[data-sign-out]");
const note = document.getElementById("outbox-note");
const aside = document.getElementById("outbox-aside");
let asked = false;

function sentence(left, refused) {
  const answers = (count) => (count === 1 ? "1 answer" : `${count} answers`);
  if (left && refused) return `${answers(left)} on this device not sent yet, and ${answers(refused)} not taken.`;
  return left ? `${answers(left)} on this device not sent yet.` : `${answers(refused)} on this device not taken.`;
}

function advice(left) {
  if (!left) return "Look at them below, then sign out.";
  if (trouble === "forbidden") return "Your account may not send them; a facilitator who signs in on this device can.";
  return "Stay on this page with a network until they are sent, then sign out.";
}

function allTheSame() {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Sign out; they stay on this device" });
  button.addEventListener("click", () => HTMLFormElement.prototype.submit.call(form));
  return button;
}

function say(left, refused) {
  const box = document.createElement("div");
  box.className = left || refused ? "notice bad" : "notice ok";
  const text = document.createElement("div");
  const strong = document.createElement("strong");
  if (left || refused) {
    strong.textContent = `Not signed out: ${sentence(left, refused)} `;
    text.append(strong, advice(left));
    if (left && trouble === "forbidden") text.append(" ", allTheSame());
  } else text.textContent = "Everything on this device is sent. You can sign out now.";
  box.append(text);
  note.replaceChildren(box);
}

async function look() {
  const [left, refused] = [await waiting(), await setAside()];
  draw(aside, refused);
  if (asked) say(left.length, refused.length);
  return left.length + refused.length;
}

async function leave(event) {
  event.preventDefault();
  let left = 0;
  try {
    left = await look();
  } catch {
    // Where nothing can be kept, nothing is left.
  }
  if (!left) {
    await dropOtherPages("").catch(() => {});
    return HTMLFormElement.prototype.submit.call(form);
  }
  asked = true;
  await look();
  form.closest("details")?.removeAttribute("open"); // the menu would lie over what is said
  note.tabIndex = -1;
  note.focus();
  void flush();
}

async function begin() {
  try {
    await canKeep();
    if (await look()) void flush();
  } catch {
    return;
  }
  follow(() => void look());
}

if (form) {
  form.addEventListener("submit", leave);
  void begin();
}
