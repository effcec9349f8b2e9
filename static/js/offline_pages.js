// The pages of a session to come, kept on the device with what they are drawn with, so that it goes on without a
// network. The worker (service_worker.js) hands them out under their own addresses.

const PREFIX = "run ";
const ASSETS = "assets";
const MEDIA = "/static/content/";

function nameOf(session) {
  return `${PREFIX}${session}`;
}

function markOf(session) {
  return `/run/${session}/pack/`;
}

export function canKeepPages() {
  return "serviceWorker" in navigator && "caches" in globalThis;
}

// Fetches the pages unless this version of them is here. Whatever goes wrong, the pages work as before.
export async function keepPages(session, version) {
  await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  const mark = await caches.match(markOf(session));
  if (mark && (await mark.text()) === version) return;
  const response = await fetch(markOf(session), { cache: "no-store", headers: { Accept: "application/json" } });
  if (!response.ok || response.redirected) return;
  const told = await response.json();
  if (told.session !== session) return;
  await keepAssets(told);
  const cache = await caches.open(nameOf(session)); // from now on the worker keeps pages: none without its scripts
  const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": response.headers.get("Content-Security-Policy") ?? "" };
  for (const [url, page] of Object.entries(told.pages)) await cache.put(url, new Response(page, { headers }));
  await cache.put(markOf(session), new Response(told.version));
  await keepMedia(told);
}

function assetsOf({ pages }) {
  return Object.values(pages).flatMap((page) => [...page.matchAll(/(?:src|href)="(\/static\/[^"#]+)/g)].map(([, url]) => url));
}

async function keepAssets(told) {
  const found = assetsOf(told).filter((url) => !url.startsWith(MEDIA));
  await (await caches.open(ASSETS)).addAll([...new Set([...found, ...told.scripts])]);
}

// Recordings are large and come last, one after the other, once for all sessions; without one the browser's voice or
// the words stand in. The version is in the address: another version of the same file is dropped.
async function keepMedia(told) {
  const cache = await caches.open(ASSETS);
  const here = (await cache.keys()).map(({ url }) => url.slice(location.origin.length));
  for (const url of new Set(assetsOf(told).filter((asset) => asset.startsWith(MEDIA)))) {
    if (here.includes(url)) continue;
    await cache.add(new Request(url, { priority: "low" })).catch(() => {});
    for (const old of here) if (old.split("?")[0] === url.split("?")[0]) await cache.delete(old);
  }
}

// Whether a page would come from this device. Without the worker the server would lead back to what waits, for ever.
export async function isKept(url) {
  return canKeepPages() && Boolean(navigator.serviceWorker.controller && (await caches.match(url)));
}

// The session is over and everything is acknowledged.
export async function dropPages(session) {
  if (canKeepPages()) await caches.delete(nameOf(session));
}

// Whoever has the device now is to see no pages of other sessions. An answer that waits is sent without its page.
export async function dropOtherPages(session) {
  if (!canKeepPages()) return;
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== nameOf(session));
  await Promise.all(others.map((name) => caches.delete(name)));
}
