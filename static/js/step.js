// A step of a run: what is typed is kept as a draft, what is sent goes through the outbox, and the page goes on when
// the store has acknowledged it. Where nothing can be kept the form is sent plainly, and the page says so.

import { canKeep, draftOf, dropDraft, dropDrafts, dropSent, keepDraft, keepSent, oneSent } from "./device.js";
import { mention } from "./refused_answers.js";
import { canKeepPages, dropOtherPages, dropPages, isKept, keepPages } from "./offline_pages.js";
import { flush, follow, savedAt, setAside, soon, trouble, waiting } from "./outbox.js";
import { show } from "./savestate.js";

const SLOW = 900; // milliseconds of keeping after which the page says that it is not done yet
const DRAFT_AFTER = 300; // milliseconds of not typing, and at most twice that in a flow
const PATIENCE = 5000; // milliseconds for an acknowledgement before a kept page takes over
const { session, next, login, pack, packed, confined } = document.body.dataset;
const form = document.getElementById("step-form");
const note = document.getElementById("outbox-note");
const aside = document.getElementById("outbox-aside");
const opened = performance.now();
const NOT_OURS = new Set(["csrfmiddlewaretoken"]);
const SLOW_STORAGE = "Saving is slow on this device. Stay on this page; we keep trying.";
const NO_STORAGE = "Nothing can be saved on this device. It may be a private window, or storage is full. Stay online; each answer is sent right away.";

let plain = false; // storage does not work here
let pending = null; // the place in the outbox of what this page has sent

// --- fields

function fieldsOf() {
  return [...new FormData(form)].filter(([name, value]) => !NOT_OURS.has(name) && typeof value === "string");
}

function typed() {
  return fieldsOf().filter(([name]) => form.elements[name]?.type !== "hidden");
}

function fill(fields) {
  const values = new Map();
  for (const [name, value] of fields) values.set(name, [...(values.get(name) ?? []), value]);
  for (const element of form.elements) {
    if (element.type === "hidden" || !element.name) continue;
    const given = values.get(element.name) ?? [];
    if (element.type === "radio" || element.type === "checkbox") element.checked = given.includes(element.value);
    else if (given.length && "value" in element) element.value = given[0];
    if (element instanceof HTMLTextAreaElement) element.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function lock(locked) {
  for (const control of form.elements) if (control.type === "submit") control.setAttribute("aria-disabled", String(locked));
}

// --- drafts

let draftTimer = null;

function draftLater() {
  if (plain || pending !== null) return;
  draftTimer ??= setTimeout(draftNow, DRAFT_AFTER);
}

async function draftNow() {
  draftTimer = null;
  if (plain || pending !== null) return;
  try {
    await told(keepDraft({ path: location.pathname, session, fields: typed() }));
  } catch {
    withoutStorage();
  }
}

// --- what the page says

function withoutStorage() {
  plain = true;
  show({ failed: "this browser keeps nothing" });
  noteThat("warn", NO_STORAGE);
}

// Waits for what is being kept, and says so where it takes long.
async function told(keeping) {
  const late = setTimeout(() => {
    show({ failed: "this device is slow to keep it" });
    noteThat("info", SLOW_STORAGE);
  }, SLOW);
  try {
    return await keeping;
  } finally {
    clearTimeout(late);
    show({ failed: "" });
    if (note.textContent === SLOW_STORAGE) note.replaceChildren();
  }
}

function noteThat(tone, ...parts) {
  const box = Object.assign(document.createElement("div"), { className: `notice ${tone}` });
  const text = document.createElement("div");
  text.append(...parts);
  box.append(text);
  note.replaceChildren(box);
}

const WORDS = {
  forbidden: "This sign-in may not send it. Your answer is safe on this device; tell the person who leads the session.",
  offline: "There is no network now. Your answer is safe on this device and is sent as soon as there is one.",
  away: "The place where answers are kept does not answer right now. Your answer is safe on this device and is sent again soon.",
  "not us": "Something between this device and the study answers in its place. Your answer is safe on this device and is sent again soon.",
};

function explain(entries) {
  if (!entries.length || !trouble) return note.replaceChildren();
  if (note.dataset.trouble === trouble && note.childElementCount) return;
  note.dataset.trouble = trouble;
  if (trouble !== "signed out") return noteThat("info", WORDS[trouble]);
  const link = Object.assign(document.createElement("a"), { href: `${login}?next=${encodeURIComponent(location.pathname)}`, textContent: "Sign in again" });
  noteThat("info", "You are signed out. Your answer is safe on this device. ", link, " and it is sent.");
}

async function refresh() {
  if (plain) return;
  const [left, refused] = await Promise.all([waiting(), setAside()]);
  const own = left.filter((entry) => entry.session === session);
  show({ waiting: own.length, at: savedAt });
  explain(own);
  mention(aside, refused.filter((entry) => entry.session === session && entry.order !== pending));
  if (!next && !packed && !own.length && canKeepPages()) await dropPages(session).catch(() => {});
}

// --- faults of this page's own fields

function showFaults(faults) {
  document.querySelector(".errors")?.remove();
  const box = document.createElement("section");
  box.className = "errors";
  box.tabIndex = -1;
  box.setAttribute("role", "alert");
  const title = Object.assign(document.createElement("h2"), { textContent: "Some answers need another look. Nothing was saved yet." });
  const list = document.createElement("ul");
  for (const { label, target, text } of faults) {
    const line = document.createElement("li");
    const field = document.getElementById(target);
    if (field && field.type !== "hidden") line.append(Object.assign(document.createElement("a"), { href: `#${target}`, textContent: label }), ` ${text}`);
    else line.textContent = `${label} ${text}`;
    list.append(line);
  }
  box.append(title, list);
  form.prepend(box);
  markInvalid(new Set(faults.map((fault) => fault.field)));
  box.focus();
}

function markInvalid(names) {
  for (const element of form.elements) {
    if (!element.name || element.type === "hidden") continue;
    if (names.has(element.name)) element.setAttribute("aria-invalid", "true");
    else element.removeAttribute("aria-invalid");
    element.closest("fieldset.field")?.classList.toggle("invalid", names.has(element.name));
  }
}

// --- sending

async function send() {
  const fields = fieldsOf();
  const entry = {
    id: form.elements.submission_id.value,
    session,
    next,
    path: new URL(form.action).pathname,
    body: new URLSearchParams(fields).toString(),
    at: Date.now(),
    took: Math.round((performance.now() - opened) / 1000),
  };
  lock(true);
  clearTimeout(draftTimer);
  draftTimer = null;
  pending = -1; // on its way into the outbox: no draft takes its place
  try {
    pending = await told(keepSent(entry));
  } catch {
    withoutStorage();
    return HTMLFormElement.prototype.submit.call(form);
  }
  void refresh();
  soon();
  setTimeout(() => void goOnWithout(), PATIENCE);
}

// The answer waits here, and the next page is kept here: the session goes on, and the outbox sends meanwhile.
async function goOnWithout() {
  const order = pending;
  if (order === null || order < 0 || !(await isKept(next)) || pending !== order) return;
  pending = -1;
  location.assign(next);
}

// Whether what this page has sent is through; then the page goes on, or shows what is wrong with it.
async function settle() {
  const order = pending;
  if (order === null || order < 0) return;
  const entry = await oneSent(order);
  if (pending !== order) return;
  if (entry && !entry.refusal) return trouble ? goOnWithout() : undefined;
  pending = -1; // told of many changes, this page goes on once
  if (entry?.refusal.error === "invalid") {
    await dropSent(entry.order);
    pending = null;
    lock(false);
    await draftNow();
    void refresh();
    return showFaults(entry.refusal.faults);
  }
  if (entry?.refusal.error === "consent") return HTMLFormElement.prototype.submit.call(form); // its page says why
  location.assign(entry?.refusal.next ?? next);
}

function submitted(event) {
  if (plain) return;
  event.preventDefault();
  if (pending === null) void send();
}

// What was sent from this address before, and waits: it is shown again, and nothing else can be sent from here.
// A kept page of a step that is through, while later ones wait, leads to where the device is.
async function resume() {
  const own = (await waiting()).filter((entry) => entry.session === session);
  const sent = own.find((entry) => entry.path === location.pathname);
  const ahead = sent ? null : own.at(-1)?.next;
  if (ahead && new URL(ahead, location.href).pathname !== location.pathname && (await isKept(ahead))) return leadOn(ahead);
  if (sent) {
    fill(new URLSearchParams(sent.body));
    lock(true);
    pending = sent.order;
    return;
  }
  const draft = document.querySelector(".errors") ? null : await draftOf(location.pathname);
  if (draft?.fields) fill(draft.fields);
  if (!draft?.through) return;
  // This page was made before its answer was stored. With a network it leads on once: a server that then leads back
  // has lost the answer, in a restore perhaps, and is to have it again.
  if (navigator.onLine) await dropDraft(location.pathname);
  leadOn(draft.through);
}

// Nothing that is typed here any more would arrive.
function leadOn(address) {
  pending = -1;
  lock(true);
  location.replace(address);
}

// A page that stands in for one of the server's gives way to it as soon as the network is back.
async function giveWay() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store" });
    if ((await answer.text()) === "alive\n" && !(await waiting()).some((entry) => entry.session === session)) location.replace(location.pathname);
  } catch {
    // Later, then.
  }
}

async function pages() {
  if (confined) await dropOtherPages(session);
  if (pack && !packed && next) await keepPages(session, pack);
}

async function begin() {
  try {
    await told(canKeep());
    if (form) await resume();
    await dropDrafts(next ? null : session);
  } catch {
    return withoutStorage();
  }
  follow(() => void refresh().then(settle));
  form?.addEventListener("input", draftLater);
  await refresh();
  await flush();
  if (packed === "done" || packed === "waiting") setInterval(giveWay, PATIENCE);
  if (canKeepPages()) await pages().catch(() => {}); // then there is no going on without a network, and all else works
}

form?.addEventListener("submit", submitted);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // the session has gone on since this page was left
});
if (session) void begin();
