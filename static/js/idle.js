// Warns before the server signs out for want of a sign of life, and covers the page when it has.
// <meta name="idle" content="seconds" data-who="account" data-ask="url" data-login="url">
// Typed words are never lost by it: a page that holds some is covered, and goes on after signing in again.

const meta = document.querySelector("meta[name=idle]");
const { who, ask, login } = meta.dataset;
const WARNING = Math.min(120, Number(meta.content) / 2) * 1000; // a warning this long before
const QUIET = Math.min(60, Number(meta.content) / 4) * 1000; // signs of life are told this often at most
const SHARED = "signed-in-until"; // other tabs of this browser prolong the same session

let until = Date.now() + Number(meta.content) * 1000;
let told = Date.now();
let asking = false;
let dialog = null;

function share(seconds) {
  until = Date.now() + seconds * 1000;
  try {
    localStorage.setItem(SHARED, String(until));
  } catch {
    // Without storage each tab knows of itself alone, and asks before it warns.
  }
}

// method GET only asks; POST is a sign of life. Returns whether somebody is signed in.
async function talk(method) {
  const body = method === "POST" ? new URLSearchParams({ csrfmiddlewaretoken: token() }) : undefined;
  const answer = await fetch(ask, { method, body, cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const state = await answer.json();
  if (state.left > 0 && String(state.user) !== who) location.reload(); // somebody else by now
  renew(state.token);
  share(state.left);
  return state.left > 0;
}

function token() {
  return JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "";
}

// Signing in again changes the token that forms carry.
function renew(fresh) {
  for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.value = fresh;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": fresh }));
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function show(kind, title, text, action) {
  if (dialog?.dataset.kind === kind) return;
  dialog?.remove();
  const labels = { "aria-labelledby": "idle-title", "aria-describedby": "idle-text" };
  dialog = element("dialog", "", { class: "idle", role: "alertdialog", "data-kind": kind, ...labels });
  dialog.append(element("h2", title, { id: "idle-title" }), element("p", text, { id: "idle-text" }), action);
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (kind === "warning") void stay();
  });
  // Browsers let a second Escape through: the cover comes back at once.
  dialog.addEventListener("close", (event) => {
    if (event.target.isConnected) event.target.showModal();
  });
  dialog.showModal();
}

function hide() {
  dialog?.remove();
  dialog = null;
}

async function stay() {
  try {
    if (await talk("POST")) {
      told = Date.now();
      hide();
    } else over();
  } catch {
    dialog?.querySelector("p")?.replaceChildren("There is no answer from the server. Please try again.");
  }
}

function warn() {
  const button = element("button", "Stay signed in", { type: "button", class: "button primary big" });
  button.addEventListener("click", () => void stay());
  show("warning", "Are you still there?", "Nobody has used this page for a while. You will be signed out soon.", button);
  const clock = dialog.querySelector(".num") ?? dialog.insertBefore(element("p", "", { class: "num", "aria-hidden": "true" }), button);
  const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
}

function isTyped(field) {
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

function over() {
  const here = `${login}?next=${encodeURIComponent(location.pathname + location.search)}`;
  const typed = [...document.querySelectorAll("main textarea, main input:not([type=radio], [type=checkbox])")];
  if (!typed.some(isTyped)) return location.assign(here);
  const again = element("a", "Sign in again", { class: "button primary big", href: `${login}?next=/`, target: "_blank", rel: "noopener" });
  show("over", "You are signed out", "Nobody used this page for a while. What you typed is still here: sign in again in another tab, then come back.", again);
}

async function look() {
  if (asking || until - Date.now() > WARNING) {
    if (!asking && dialog?.dataset.kind === "warning") hide();
    return;
  }
  if (dialog?.dataset.kind === "over") return;
  if (dialog && until > Date.now()) return warn();
  asking = true;
  try {
    if (!(await talk("GET"))) over();
    else if (until - Date.now() <= WARNING) warn();
  } catch {
    // No answer: asked again in a second.
  } finally {
    asking = false;
  }
}

async function alive() {
  if (dialog || asking || Date.now() - told < QUIET) return;
  told = Date.now();
  try {
    if (!(await talk("POST"))) over();
  } catch {
    // Offline, perhaps; the next sign of life tells it again.
  }
}

async function back() {
  if (document.hidden || dialog?.dataset.kind !== "over") return;
  try {
    if (await talk("GET")) hide();
  } catch {
    // Asked again when the page is looked at next.
  }
}

share(Number(meta.content));
for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, () => void alive(), { passive: true });
document.addEventListener("visibilitychange", () => void back());
window.addEventListener("focus", () => void back());
window.addEventListener("storage", (event) => {
  if (event.key === SHARED && Number(event.newValue) > until) until = Number(event.newValue);
});
setInterval(() => void look(), 1000);
