// The player of one segment: a media file where there is one, the browser's voice, or words in reading pace.
// It stops at the end of the segment, never jumps forward, and tells the server where it stands.
// The server keeps that for other devices; this tab keeps it to the tick, as a reload is asked for before it ends.

import { waiting } from "./outbox.js";
import { show } from "./savestate.js";

const player = document.getElementById("player");
if (document.body.dataset.packed) await chosenHere();
const form = document.getElementById("step-form");
const media = document.getElementById("media");
const [bar, playButton, backButton, time, note, goOn] = ["bar", "play", "back", "time", "player-note", "go-on"].map((id) => document.getElementById(id));
const sentences = [...player.querySelectorAll(".sentence")];

// A kept page was made before the student has chosen; the choice waits in the outbox.
async function chosenHere() {
  const sent = (await waiting()).find((entry) => entry.session === document.body.dataset.session && entry.path.endsWith("/format/"));
  if (!sent) return;
  const chosen = new URLSearchParams(sent.body);
  Object.assign(player.dataset, { format: chosen.get("format_chosen"), speed: chosen.get("speed") });
  document.getElementById("captions").hidden = chosen.get("format_chosen") === "audio" && !chosen.has("captions");
}

const TICK = 250; // milliseconds between two looks at the clock
const REPORT_EVERY = 5; // seconds of playing between two reports
const duration = Number(player.dataset.duration);
const speed = Number(player.dataset.speed);
const voice = player.dataset.format === "audio" && !media && "speechSynthesis" in window;

const state = {
  position: Number(player.dataset.position),
  played: Number(player.dataset.played),
  pauses: Number(player.dataset.pauses),
  rewinds: Number(player.dataset.rewinds),
};
const kept = `player ${player.dataset.progress}`;
recall();
let playing = false;
let over = false; // the segment was ended elsewhere
let reported = state.played;
let last = 0;
let spoken = -1;

// Each sentence gets the share of the segment's time that its words are of all words.
const lengths = sentences.map((sentence) => sentence.textContent.split(/\s+/).length);
const total = lengths.reduce((sum, words) => sum + words, 0);
const starts = [];
lengths.reduce((sum, words) => {
  starts.push((sum / total) * duration);
  return sum + words;
}, 0);

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// Storage may be full or forbidden: then the server's last report has to do.
function remember() {
  try {
    sessionStorage.setItem(kept, JSON.stringify(state));
  } catch {
    // see above
  }
}

function recall() {
  try {
    const here = JSON.parse(sessionStorage.getItem(kept));
    const usable = here && Object.keys(state).every((name) => Number.isFinite(here[name]));
    if (usable && here.played >= state.played) Object.assign(state, here);
  } catch {
    // see above
  }
}

function forget() {
  try {
    sessionStorage.removeItem(kept);
  } catch {
    // see above
  }
}

function sentenceAt(position) {
  const next = starts.findIndex((start) => start > position);
  return next < 0 ? sentences.length - 1 : next - 1;
}

function draw() {
  const current = sentenceAt(state.position);
  sentences.forEach((sentence, index) => {
    const now = index === current && state.position < duration;
    if (now && sentence.dataset.now !== "yes") sentence.scrollIntoView({ block: "nearest" });
    sentence.dataset.now = now ? "yes" : "no";
  });
  bar.value = state.position;
  time.textContent = `${clock(state.position)} of ${clock(duration)}`;
  for (const name of Object.keys(state)) form.elements[name].value = state[name].toFixed(name === "position" || name === "played" ? 1 : 0);
  const finished = over || state.played >= duration;
  goOn.disabled = !finished;
  playButton.disabled = over || (finished && state.position >= duration);
  playButton.querySelector("span").textContent = playing ? "Pause" : state.position >= duration ? "Played" : state.position > 0 ? "Continue" : "Play";
  playButton.querySelector("use")?.setAttribute("href", playButton.querySelector("use").getAttribute("href").replace(/#.*/, playing ? "#pause" : "#play"));
}

function advance() {
  const now = performance.now();
  const step = ((now - last) / 1000) * speed;
  last = now;
  if (!playing) return;
  state.position = media ? Math.min(media.currentTime, duration) : Math.min(state.position + step, duration);
  if (media?.ended) state.position = duration;
  state.played = Math.max(state.played, state.position);
  if (voice) speak();
  if (state.position >= duration) stop("Finished. You can go on.");
  else if (state.played - reported >= REPORT_EVERY) void report();
  remember();
  draw();
}

// One utterance a sentence: the clock leads, so that a slow or silent voice never holds a student up.
function speak() {
  const current = sentenceAt(state.position);
  if (current === spoken) return;
  spoken = current;
  const utterance = new SpeechSynthesisUtterance(sentences[current].textContent);
  utterance.lang = player.dataset.language;
  utterance.rate = speed;
  speechSynthesis.speak(utterance);
}

async function report() {
  if (over) return;
  remember();
  reported = state.played;
  const body = new FormData(form);
  try {
    const answer = await fetch(player.dataset.progress, { method: "POST", body, keepalive: true });
    if (answer.status === 409) return end();
    const told = answer.ok ? await answer.json() : { saved: false };
    tell(told);
  } catch {
    tell({ saved: false });
  }
}

// Another tab has gone on, or the session was closed.
function end() {
  over = true;
  stop("This part is over. You can go on.");
}

// A place in the segment that was not told stays in this tab, and goes along with the end of the segment.
function tell(told) {
  show(told.saved ? { player: false, at: told.at } : { player: true });
}

function start() {
  playing = true;
  last = performance.now();
  spoken = -1;
  note.textContent = voice && speechSynthesis.getVoices().length === 0 ? "This browser has no voice of its own, so please read along." : "";
  if (note.textContent) document.getElementById("captions").hidden = false;
  if (media) {
    media.currentTime = state.position;
    media.playbackRate = speed;
    media.play().catch(() => pause("The sound could not be played. Press Play again, or read the words below."));
  }
  void report();
  draw();
}

function stop(words) {
  playing = false;
  media?.pause();
  if (voice) speechSynthesis.cancel();
  note.textContent = words;
  draw();
  void report();
}

function pause(words) {
  state.pauses += 1;
  stop(words);
}

playButton.addEventListener("click", () => (playing ? pause("Paused.") : start()));
backButton.addEventListener("click", () => {
  if (state.position <= 0) return;
  state.position = Math.max(0, state.position - 10);
  state.rewinds += 1;
  spoken = -1;
  if (voice) speechSynthesis.cancel();
  if (media) media.currentTime = state.position;
  draw();
  void report();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && playing) pause("Paused while the page was hidden.");
});
form.addEventListener("submit", forget);
addEventListener("pagehide", () => {
  if (voice) speechSynthesis.cancel();
});

setInterval(advance, TICK);
draw();
