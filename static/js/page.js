// Small comforts that every page shares. Each one only adds to markup that already works without it.
// All listeners sit on the document, so that fragments swapped in by htmx are covered too.

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;

// Theme: <button data-theme-switch>Theme: <span>auto</span></button>
function showTheme() {
  for (const label of document.querySelectorAll("[data-theme-switch] span")) label.textContent = root.dataset.theme ?? "auto";
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Without storage the choice lasts for this page.
  }
  showTheme();
}

// Copy: <button class="copy" data-copy="the text"> ... <span data-copied aria-live="polite"></span></button>
async function copy(button) {
  const said = button.querySelector("[data-copied]");
  let word = "copied";
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    word = "not copied";
  }
  if (!said) return;
  said.textContent = word;
  setTimeout(() => { said.textContent = ""; }, 2000);
}

// Rows: a click anywhere in a row follows its a.row-link, but not when it meant something else.
function followRow(event, row) {
  if (event.target.closest("a, button, input, label, select, summary, details")) return;
  if (String(getSelection())) return;
  const link = row.querySelector("a.row-link");
  if (!link) return;
  if (event.ctrlKey || event.metaKey) window.open(link.href, "_blank", "noopener");
  else link.click();
}

// Growing text: browsers with field-sizing do it in CSS; the others are helped here.
const GROWS = CSS.supports("field-sizing", "content");

function grow(area) {
  if (GROWS) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

// Counter: <p class="counter" data-count-for="id_answer"></p> says how many words there are.
function count(area) {
  const counter = area.id && document.querySelector(`[data-count-for="${CSS.escape(area.id)}"]`);
  if (!counter) return;
  const words = area.value.trim().split(/\s+/).filter(Boolean).length;
  counter.textContent = words === 1 ? "1 word" : `${words} words`;
}

function readyAreas(scope) {
  for (const area of scope.querySelectorAll("textarea")) {
    grow(area);
    count(area);
  }
}

// Sending once: a <form data-once> ignores further submits until the answer arrives.
function sendOnce(event) {
  const form = event.target;
  // A handler that already took the event over (a script of the page, htmx) sees to its own repeats.
  if (event.defaultPrevented || !form.matches("form[data-once]")) return;
  if (form.dataset.sent) event.preventDefault();
  else setSent(form, true);
}

// The submit button may stand outside its form (form="id"): form.elements knows it all the same.
function setSent(form, sent) {
  if (sent) form.dataset.sent = "yes";
  else delete form.dataset.sent;
  for (const control of form.elements) {
    if (control.type === "submit") control.setAttribute("aria-disabled", String(sent));
  }
}

// Coming back with the back button shows the page as it was left: let the forms send again.
function forgetSent() {
  for (const form of document.querySelectorAll("form[data-sent]")) setSent(form, false);
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => {
  const target = event.target;
  if (!(target instanceof Element)) return;
  closeMenus(target.closest("details.menu"));
  if (target.closest("[data-theme-switch]")) nextTheme();
  const copier = target.closest("[data-copy]");
  if (copier) void copy(copier);
  const row = target.closest(".table tbody tr");
  if (row) followRow(event, row);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});
document.addEventListener("input", (event) => {
  if (event.target instanceof HTMLTextAreaElement) {
    grow(event.target);
    count(event.target);
  }
});
document.addEventListener("submit", sendOnce);
document.addEventListener("htmx:load", (event) => readyAreas(event.target));
window.addEventListener("pageshow", (event) => {
  if (event.persisted) forgetSent();
});

showTheme();
readyAreas(document);
document.querySelector(".errors[tabindex]")?.focus();
