// The live board looks again while somebody looks at it. The fragment comes by htmx; its summary is copied into the
// one live region, and only when it says something new, so that a screen reader is not told the same twice.

let last = Date.now();

function seconds() {
  return Number(document.querySelector("#board")?.dataset.board ?? 8);
}

function look() {
  last = Date.now();
  const board = document.querySelector("#board");
  if (board) window.htmx?.trigger(board, "look");
}

function say(text) {
  const live = document.querySelector("#board-says");
  if (live && text && live.textContent.trim() !== text.trim()) live.textContent = text.trim();
}

function away(isAway) {
  const note = document.querySelector("#board-away");
  if (note) note.hidden = !isAway;
}

setInterval(() => {
  if (!document.hidden && Date.now() - last >= seconds() * 1000) look();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - last >= seconds() * 1000) look();
});
document.addEventListener("htmx:afterSwap", () => {
  say(document.querySelector("#board")?.dataset.says);
  away(false);
});
for (const fault of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(fault, () => away(true));
}
