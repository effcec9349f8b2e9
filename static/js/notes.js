// Notes from staff appear on a run page while it is in view: one small request at most every ten seconds.
// Forms marked data-quiet (a note put away, a call for help) are sent without leaving the page and what is typed on it.

const EVERY = 10_000; // milliseconds
const region = document.getElementById("notes");
const HEADERS = { "HX-Request": "true" }; // a look for news is no sign of life, and is led elsewhere as htmx is
let last = Date.now();

function said(scope) {
  return scope.querySelector("[data-said]")?.dataset.said;
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  if (said(fresh) !== said(region)) region.replaceChildren(...fresh.childNodes);
}

function isLogin(address) {
  return address !== null && new URL(address, location.href).pathname === document.body.dataset.login;
}

async function look() {
  last = Date.now();
  const answer = await fetch(region.dataset.notes, { headers: HEADERS });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (isLogin(elsewhere)) return; // the page may hold words: the outbox says that somebody has to sign in
  if (elsewhere || answer.status === 410) location.assign(elsewhere ?? location.href);
  else if (answer.ok) show(await answer.text());
}

async function send(form) {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.action, { method: "POST", body, headers: HEADERS });
  if (!answer.ok) throw new Error(String(answer.status));
  await look();
}

// Without an answer the next look tries again; a form goes the browser's own way.
const later = () => {};

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-quiet]")) return;
  event.preventDefault();
  send(form).catch(() => form.submit());
});
const lookIfDue = () => {
  if (!document.hidden && Date.now() - last >= EVERY) look().catch(later);
};
setInterval(lookIfDue, 1000);
document.addEventListener("visibilitychange", lookIfDue);
