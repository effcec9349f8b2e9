// Runs in <head> before the first paint, as a plain blocking script: a module would come too late and the page would flash.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; then the system's own preference stands.
  }
})();
