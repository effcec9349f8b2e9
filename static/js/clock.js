// A clock that goes on from what the server said: <span data-clock="seconds">m:ss</span>
for (const clock of document.querySelectorAll("[data-clock]")) {
  const start = performance.now() - Number(clock.dataset.clock) * 1000;
  setInterval(() => {
    const seconds = Math.floor((performance.now() - start) / 1000);
    clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }, 1000);
}
