// The outbox: steps wait on the device until the store itself has acknowledged them, and are sent in order.
// Only a reply that names the submission and the SHA-256 of the very bytes sent counts, so that no login page,
// captive portal or cut-off body is taken for the store. What is refused for good is set aside, never dropped.

import { allSent, changeSent, dropDrafts, settleSent } from "./device.js";
import { dropPages } from "./offline_pages.js";

const TIMEOUT = 15_000; // milliseconds for one sending
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
const FOR_GOOD = new Set([404, 409, 410, 415, 422]);
const GONE = new Set([404, 410]); // there is no such session for this device any more

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("outbox") : null;
const listeners = new Set();
let failures = 0;
let timer = null;
export let savedAt = null; // the time of day of the newest acknowledgement to this page
export let trouble = null; // why the last sending was not acknowledged: a key of what pages say about it

export async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// After a new sign-in the token is another one than this page was made with: then the page is asked for once more.
let renewed = null;

function tokenOf(page) {
  return JSON.parse(page.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "";
}

function token() {
  return renewed ?? tokenOf(document);
}

function isLogin(response) {
  return response.redirected && new URL(response.url).pathname === document.body.dataset.login;
}

// What the server says of this page now: "signed out", "forbidden", or null after a new token came.
async function renew() {
  const response = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
  if (isLogin(response)) return "signed out";
  const fresh = tokenOf(new DOMParser().parseFromString(await response.text(), "text/html"));
  if (!response.ok || !fresh) return "forbidden";
  renewed = fresh;
  return null;
}

// What a reply means for the entry: "stored", "kept" for staff (it came after the session's end), "refused" for good,
// "early" (another step comes first) or "unknown".
export function verdict(status, reply, entry, digest) {
  if (reply?.error === "too_large" && status === 413) return "refused";
  if (reply?.submission_id !== entry.id || reply.sha256 !== digest) return "unknown";
  if (status === 200 && reply.saved === true && reply.stored_at) return "stored";
  if (reply.saved !== false || !FOR_GOOD.has(status)) return "unknown";
  if (reply.kept === true && reply.error === "after_end") return "kept";
  return reply.error === "out_of_step" ? "early" : "refused";
}

function request(entry) {
  return fetch(entry.path, {
    method: "POST",
    body: entry.body,
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT),
    headers: {
      Accept: "application/json",
      "Content-Type": "application/x-www-form-urlencoded",
      "X-CSRFToken": token(),
      "Held-Seconds": String(Math.max(0, Math.round((Date.now() - entry.at) / 1000))),
      "Took-Seconds": String(entry.took),
    },
  });
}

async function post(entry) {
  let response = await request(entry);
  const inTheWay = response.status === 403 ? await renew() : null;
  if (response.status === 403 && !inTheWay) response = await request(entry);
  const text = await response.text();
  let reply = null;
  try {
    reply = JSON.parse(text);
  } catch {
    // Not ours, or cut off.
  }
  const means = verdict(response.status, reply, entry, await sha256(entry.body));
  if (means !== "unknown") trouble = null;
  else if (reply?.error === "away") trouble = "away";
  else if (isLogin(response)) trouble = "signed out";
  else trouble = inTheWay ?? (response.status === 403 ? "forbidden" : "not us");
  if (means === "refused" && GONE.has(response.status)) await forgetSession(entry.session);
  return { means, reply };
}

async function forgetSession(session) {
  await dropDrafts(session).catch(() => {});
  await dropPages(session).catch(() => {});
}

export async function waiting() {
  return (await allSent()).filter((entry) => !entry.refusal);
}

export async function setAside() {
  return (await allSent()).filter((entry) => entry.refusal);
}

// One round over everything that waits. `true` when something was taken out and something early is left.
async function round() {
  const stuck = new Set(); // sessions whose next step is not through
  let moved = false;
  let early = false;
  for (const entry of await waiting()) {
    if (stuck.has(entry.session)) continue;
    const { means, reply } = await post(entry);
    if (means === "stored") {
      savedAt = reply.at;
      await settleSent(entry);
      moved = true;
    } else if (means === "kept") {
      await settleSent({ ...entry, next: reply.next }); // nothing is left to do here, and the last page says so
      moved = true;
    } else if (means === "refused") {
      await changeSent({ ...entry, refusal: reply });
      moved = true;
    } else if (means === "early") early = true;
    else stuck.add(entry.session);
    tell();
  }
  return moved && early;
}

async function sendAll() {
  try {
    while (await round());
    failures = (await waiting()).length ? failures + 1 : 0;
  } catch (fault) {
    trouble = "offline";
    failures += 1;
  }
}

// Sends what waits, in one tab at a time, and comes back to it later if some is left.
export async function flush() {
  clearTimeout(timer);
  if (navigator.locks) await navigator.locks.request("outbox", sendAll);
  else await sendAll();
  if (failures) {
    const pause = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
    clearTimeout(timer);
    timer = setTimeout(flush, pause * (0.5 + Math.random() / 2));
  }
  tell();
}

export function soon() {
  failures = 0;
  void flush();
}

// `listener` is called whenever something has changed, in this tab or in another one.
export function follow(listener) {
  listeners.add(listener);
}

export function tell() {
  channel?.postMessage("changed");
  for (const listener of listeners) listener();
}

channel?.addEventListener("message", () => {
  for (const listener of listeners) listener();
});
addEventListener("online", soon);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) soon();
});
