// What this device keeps until the server has it: steps that were sent, and drafts of what is being typed. In place of
// the draft of a step that the server has stands where it led, until the session is over.
// Opaque ids, the fields of the form and the words only. Every call may fail: private mode, a full disk, no storage.

const PATIENCE = 10_000; // milliseconds after which storage counts as missing: that of a busy device is only slow
const FORGOTTEN = 7 * 24 * 3600 * 1000; // milliseconds after which nobody comes back to a draft
const STRICT = { durability: "strict" }; // on the disk, not on its way there, when a promise is kept

let database = null;

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error("storage does not answer")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function opened() {
  database ??= new Promise((resolve, refuse) => {
    const request = indexedDB.open("socratic-benchmarks", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("sent", { keyPath: "order", autoIncrement: true });
      request.result.createObjectStore("drafts", { keyPath: "path" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => refuse(request.error);
  }).catch((fault) => {
    database = null;
    throw fault;
  });
  return database;
}

// One transaction over `names`; `act` gets its stores and returns the request whose result is wanted.
async function transact(names, mode, act) {
  const run = async () => {
    const base = await opened();
    return new Promise((resolve, refuse) => {
      const transaction = base.transaction(names, mode, STRICT);
      const request = act(...names.map((name) => transaction.objectStore(name)));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => refuse(transaction.error ?? request?.error);
    });
  };
  return within(PATIENCE, run());
}

// Keeps a step that is about to be sent, in place of its draft. Resolves to its place in the order.
export function keepSent(entry) {
  return transact(["sent", "drafts"], "readwrite", (sent, drafts) => {
    drafts.delete(entry.path);
    return sent.add(entry);
  });
}

export async function allSent() {
  return (await transact(["sent"], "readonly", (sent) => sent.getAll())) ?? [];
}

export function oneSent(order) {
  return transact(["sent"], "readonly", (sent) => sent.get(order));
}

export function changeSent(entry) {
  return transact(["sent"], "readwrite", (sent) => sent.put(entry));
}

export function dropSent(order) {
  return transact(["sent"], "readwrite", (sent) => sent.delete(order));
}

// Takes out what the store has, and notes in the same transaction that its step is through.
export function settleSent({ order, path, session, next }) {
  return transact(["sent", "drafts"], "readwrite", (sent, drafts) => {
    drafts.put({ path, session, through: next, at: Date.now() });
    return sent.delete(order);
  });
}

export function keepDraft(draft) {
  return transact(["drafts"], "readwrite", (drafts) => drafts.put({ ...draft, at: Date.now() }));
}

export function draftOf(path) {
  return transact(["drafts"], "readonly", (drafts) => drafts.get(path));
}

export function dropDraft(path) {
  return transact(["drafts"], "readwrite", (drafts) => drafts.delete(path));
}

// Drafts of a `session` that is over, and of all that went on elsewhere, or not at all.
export async function dropDrafts(session) {
  const drafts = (await transact(["drafts"], "readonly", (store) => store.getAll())) ?? [];
  const since = Date.now() - FORGOTTEN;
  const old = drafts.filter((draft) => draft.session === session || !(draft.at > since));
  if (old.length) await transact(["drafts"], "readwrite", (store) => old.forEach((draft) => store.delete(draft.path)));
}

// Whoever comes next has no right to what was typed here. What was sent and is not acknowledged stays.
export function forgetDrafts() {
  return transact(["drafts"], "readwrite", (drafts) => drafts.clear());
}

// Whether anything can be kept here: something is written and removed.
export async function canKeep() {
  await transact(["drafts"], "readwrite", (drafts) => {
    drafts.put({ path: "probe" });
    return drafts.delete("probe");
  });
  if (!globalThis.crypto?.subtle) throw new Error("no secure context");
}
