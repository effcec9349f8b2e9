// The service worker: hands out the kept pages of a running session when the network does not, and their assets.
// It keeps nothing but pages of a session whose pack is on the device, and touches no request that changes something.

const EARLIER = /<!--earlier-->[\s\S]*?<!--\/earlier-->/g; // what the templates mark: no answer can hold a "<"
const PATIENCE = 4000; // milliseconds that the network has for a page that is kept here

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  const session = url.pathname.match(/^\/run\/([^/]+)\/./)?.[1];
  if (request.mode === "navigate" && session) event.respondWith(page(request, session));
  else if (url.pathname.startsWith("/static/")) event.respondWith(asset(request));
});

async function page(request, session) {
  const name = `run ${session}`;
  const kept = (await caches.has(name)) ? await (await caches.open(name)).match(request.url) : undefined;
  // The server does not know yet what waits here, and would lead back to it: the device goes on by itself.
  if (kept && (await isWaiting(session))) return kept;
  const network = fromNetwork(request, session);
  if (!kept) return network;
  const answer = await inTime(network);
  return answer && !isStranger(answer) ? answer : kept;
}

// What the network gives, or null where it gives nothing, or nothing soon.
function inTime(network) {
  const late = new Promise((resolve) => setTimeout(() => resolve(null), PATIENCE));
  return Promise.race([network.catch(() => null), late]);
}

// The session is over for this device, as our own server says: what was kept of it is dropped.
async function forgetIfGone(answer, session) {
  if (!answer.headers.has("Run-Gone")) return;
  await caches.delete(`run ${session}`);
  await withDrafts((drafts) => {
    drafts.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      if (cursor.value.session === session) cursor.delete();
      cursor.continue();
    };
  });
}

// A proxy that lost the server, or a captive portal: our own pages of a step say so in a header.
function isStranger(answer) {
  return answer.status >= 500 || (answer.status === 200 && !answer.headers.has("Run-Step"));
}

// A step that was shown is kept with the question that was made for it, and without what was answered before.
async function fromNetwork(request, session) {
  const name = `run ${session}`;
  const answer = await fetch(request);
  await forgetIfGone(answer, session);
  if (answer.status === 200 && answer.headers.has("Run-Keep") && (await caches.has(name))) {
    const page = (await answer.clone().text()).replace(EARLIER, "");
    const headers = new Headers(answer.headers);
    headers.delete("Content-Encoding"); // the text is unpacked by now
    headers.delete("Content-Length");
    await (await caches.open(name)).put(request.url, new Response(page, { headers }));
  }
  return answer;
}

// A page whose scripts did not all come, whole, asks again for what waits here: the kept ones are good enough.
async function asset(request) {
  const kept = await caches.match(request.url);
  if (!kept) return fetch(request);
  if (new URL(request.url).pathname.startsWith("/static/content/")) return part(request, kept);
  const answer = await inTime(whole(request));
  return answer?.ok && kindOf(answer) === kindOf(kept) ? answer : kept;
}

// A recording never changes under its address. Safari plays only what comes in parts.
async function part(request, kept) {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("Range") ?? "");
  if (!range) return kept;
  const bytes = await kept.arrayBuffer();
  const first = Number(range[1]);
  const last = Math.min(range[2] === "" ? Infinity : Number(range[2]), bytes.byteLength - 1);
  const headers = { "Content-Type": kindOf(kept), "Accept-Ranges": "bytes", "Content-Range": `bytes ${first}-${last}/${bytes.byteLength}` };
  if (first > last) return new Response(null, { status: 416, headers: { ...headers, "Content-Range": `bytes */${bytes.byteLength}` } });
  return new Response(bytes.slice(first, last + 1), { status: 206, headers });
}

async function whole(request) {
  const answer = await fetch(request);
  await answer.clone().arrayBuffer();
  return answer;
}

function kindOf(answer) {
  return answer.headers.get("Content-Type");
}

// Resolves in any case: without a database there are no drafts.
function withDrafts(act) {
  return new Promise((resolve) => {
    const opening = indexedDB.open("socratic-benchmarks");
    opening.onupgradeneeded = () => opening.transaction.abort();
    opening.onerror = () => resolve();
    opening.onsuccess = () => {
      const changing = opening.result.transaction("drafts", "readwrite");
      changing.oncomplete = changing.onabort = () => {
        opening.result.close();
        resolve();
      };
      act(changing.objectStore("drafts"));
    };
  });
}

// Read only: a database that is not there is not made here, for then it would have no stores.
function isWaiting(session) {
  return new Promise((resolve) => {
    const opening = indexedDB.open("socratic-benchmarks");
    opening.onupgradeneeded = () => opening.transaction.abort();
    opening.onerror = () => resolve(false);
    opening.onsuccess = () => {
      const base = opening.result;
      const reading = base.transaction("sent").objectStore("sent").getAll();
      reading.onsuccess = () => {
        base.close();
        resolve(reading.result.some((entry) => entry.session === session && !entry.refusal));
      };
      reading.onerror = () => resolve(false);
    };
  });
}
