// Nobody signs out while answers are on this device that the store has not acknowledged: the next person could not
// send them. Staff pages send them too, and say how many are left. What was not taken is shown on its session's page.

import { canKeep, dropSent } from "./device.js";
import { flush, follow, setAside, tell, trouble, waiting } from "./outbox.js";
import { draw } from "./refused_answers.js";
import { forget, markEmpty } from "./forget.js";

const form = document.querySelector("form[data-sign-out]");
const note = document.getElementById("outbox-note");
const aside = document.getElementById("outbox-aside"); // on the page of one session, for those who may run it
const TAKEN_BACK = "taken-back"; // in the address to which the take-back leads
const LOOK_AGAIN = 30_000; // milliseconds
let asked = false;

function sentence(left, refused) {
  const answers = (count) => (count === 1 ? "1 answer" : `${count} answers`);
  if (left && refused) return `${answers(left)} on this device not sent yet, and ${answers(refused)} not taken.`;
  return left ? `${answers(left)} on this device not sent yet.` : `${answers(refused)} on this device not taken.`;
}

function advice(left) {
  if (!left) return "Look at them on the page of their session, then sign out.";
  if (trouble === "forbidden") return "Your account may not send them; a facilitator who signs in on this device can.";
  return "Stay on this page with a network until they are sent, then sign out.";
}

function allTheSame() {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Sign out; they stay on this device" });
  button.addEventListener("click", async () => {
    await forget();
    HTMLFormElement.prototype.submit.call(form);
  });
  return button;
}

// To the page of each session; one that was erased has none, and what is here of it can only go.
function links(entries) {
  return [...new Set(entries.map((entry) => entry.session))].flatMap((session) => {
    const own = entries.filter((entry) => entry.session === session);
    const name = `Session ${session.slice(0, 8)}`;
    const there = own.some((entry) => entry.refusal.error !== "unknown");
    return [" ", there ? Object.assign(document.createElement("a"), { href: `/sessions/${session}/`, textContent: name }) : removal(own, name)];
  });
}

function removal(entries, name) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: `${name} is not in the study: remove its answers` });
  button.addEventListener("click", async () => {
    for (const entry of entries) await dropSent(entry.order);
    tell();
  });
  return button;
}

function say(left, set) {
  const refused = set.length;
  const box = document.createElement("div");
  box.className = left || refused ? "notice bad" : "notice ok";
  const text = document.createElement("div");
  const strong = document.createElement("strong");
  if (left || refused) {
    strong.textContent = `Not signed out: ${sentence(left, refused)} `;
    text.append(strong, advice(left), ...links(set));
    if (left && trouble === "forbidden") text.append(" ", allTheSame());
  } else text.textContent = "Everything on this device is sent. You can sign out now.";
  box.append(text);
  note.replaceChildren(box);
}

async function look() {
  const [left, refused] = [await waiting(), await setAside()];
  if (aside) draw(aside, refused.filter((entry) => entry.session === aside.dataset.session));
  if (asked) say(left.length, refused);
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
    await forget();
    await markEmpty(form);
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
  const address = new URL(location.href);
  if (address.searchParams.has(TAKEN_BACK)) {
    await forget();
    address.searchParams.delete(TAKEN_BACK);
    history.replaceState(null, "", address);
  }
  try {
    await canKeep();
    if (await look()) void flush();
  } catch {
    setTimeout(begin, LOOK_AGAIN); // no storage, or storage that is only slow
    return;
  }
  follow(() => void look());
}

if (form) {
  form.addEventListener("submit", leave);
  void begin();
}
