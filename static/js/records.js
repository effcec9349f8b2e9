// The records by keyboard: "/" to the search, "j" and "k" along the rows, "n" to the next page, "u" up, "?" help.
// Rows are links, so Enter needs no help. Nothing is taken from whoever is typing.

const help = document.querySelector("#keys-help");

function isTyping(target) {
  return target instanceof Element && target.closest("input, select, textarea, [contenteditable], dialog") !== null;
}

function walk(step) {
  const links = [...document.querySelectorAll("a.row-link")];
  if (!links.length) return;
  const here = links.indexOf(document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(here + step, 0), links.length - 1);
  links[next].focus();
  links[next].scrollIntoView({ block: "nearest" });
}

function follow(selector) {
  document.querySelector(selector)?.click();
}

const KEYS = {
  "/": () => document.querySelector("#id_q")?.select(),
  j: () => walk(1),
  k: () => walk(-1),
  n: () => follow("a[rel=next]"),
  u: () => follow(".crumbs li:nth-last-child(2) a"),
  "?": () => help?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  event.preventDefault();
  act();
});

document.addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("[data-keys-help]")) help?.showModal();
});
