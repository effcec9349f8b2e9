// The save state, top right of every run page: what is true of everything this device has of the session.
// What is not kept at all comes first, then what waits here, then the newest acknowledgement, then the server's word.

const shown = document.getElementById("save-state");
const word = { kind: shown?.dataset.state, text: shown?.textContent };
const state = { failed: "", waiting: 0, player: false, at: null };

function telling() {
  if (state.failed) return { kind: "failed", text: `Not saved: ${state.failed}` };
  if (state.waiting) return { kind: "waiting", text: `On this device, ${state.waiting} waiting` };
  if (state.player) return { kind: "waiting", text: "On this device" };
  return state.at ? { kind: "saved", text: `Saved ${state.at}` } : word;
}

export function show(changes) {
  Object.assign(state, changes);
  const { kind, text } = telling();
  if (!shown || text === shown.textContent) return; // a screen reader is not told the same twice
  shown.dataset.state = kind;
  shown.textContent = text;
}
