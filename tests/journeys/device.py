"""What a browser has on its device, looked at past our own modules. Scripts for `page.evaluate`."""

STORE = """(name, mode, act) => new Promise((resolve, refuse) => {
  const opening = indexedDB.open("socratic-benchmarks");
  opening.onerror = refuse;
  opening.onsuccess = () => {
    const request = act(opening.result.transaction(name, mode).objectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = refuse;
  };
})"""
DRAFT = f"(path) => ({STORE})('drafts', 'readonly', (drafts) => drafts.get(path))"
KEEP = f"(entry) => ({STORE})('sent', 'readwrite', (sent) => sent.add(entry))"
PUT_DRAFT = f"(draft) => ({STORE})('drafts', 'readwrite', (drafts) => drafts.put(draft))"
DRAFTED = f"async (path) => {{ while (!(await ({DRAFT})(path))) await new Promise(requestAnimationFrame); }}"
