// The player of one segment: a media file where there is one, the browser's voice, or words in reading pace.
// What is heard leads the clock: a file that stalls and a voice that is slow are no play time. It stops at the end of
// the segment, never jumps forward, and tells the server where it stands and what was heard.
// The server keeps that for other devices; this tab keeps it to the tick, as a reload is asked for before it ends.

import { waiting } from "./outbox.js";
import { show } from "./savestate.js";

const player = document.getElementById("player");
if (document.body.dataset.packed) await chosenHere();
const form = document.getElementById("step-form");
const media = mediaOf(player.dataset.format);
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

// A kept page has the recording for whoever will choose to listen.
function mediaOf(format) {
  const element = document.getElementById("media");
  if (format === "text") element?.remove();
  return format === "text" ? null : element;
}

const SILENT_AFTER = 3000; // milliseconds without a sound after which a voice counts as silent
const TICK = 250; // milliseconds between two looks at the clock
const REPORT_EVERY = 5; // seconds of playing between two reports
const duration = Number(player.dataset.duration);
const speed = Number(player.dataset.speed);
let voice = player.dataset.format === "audio" && !media && "speechSynthesis" in window;

const state = {
  position: Number(player.dataset.position),
  played: Number(player.dataset.played),
  pauses: Number(player.dataset.pauses),
  rewinds: Number(player.dataset.rewinds),
  muted: Number(player.dataset.muted),
};
const heard = (player.dataset.heard || "").split(" ").filter(Boolean).map((part) => part.split("-").map(Number));
const kept = `player ${player.dataset.progress}`;
recall();
let playing = false;
let over = false; // the segment was ended elsewhere
let reported = state.played;
let last = 0;
let spoken = -1; // the sentence that the voice is at
let sounding = false; // the voice is heard
let silence = null; // runs from a sentence's beginning until it is heard
const timed = sentences.every((sentence) => sentence.dataset.start !== undefined);
const starts = timed ? sentences.map((sentence) => Number(sentence.dataset.start)) : startsByWords();

// Without captions each sentence gets the share of the segment's time that its words are of all words.
function startsByWords() {
  const lengths = sentences.map((sentence) => sentence.textContent.split(/\s+/).length);
  const total = lengths.reduce((sum, words) => sum + words, 0);
  return lengths.map((_, index) => (lengths.slice(0, index).reduce((sum, words) => sum + words, 0) / total) * duration);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// Storage may be full or forbidden: then the server's last report has to do.
function remember() {
  try {
    sessionStorage.setItem(kept, JSON.stringify({ ...state, heard }));
  } catch {
    // see above
  }
}

function recall() {
  try {
    const here = JSON.parse(sessionStorage.getItem(kept));
    const usable = here && Object.keys(state).every((name) => Number.isFinite(here[name]));
    if (!usable || here.played < state.played) return;
    for (const name of Object.keys(state)) state[name] = here[name];
    heard.splice(0, Infinity, ...here.heard);
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
  fillForm();
  const finished = over || state.played >= duration;
  goOn.disabled = !finished;
  playButton.disabled = over || (finished && state.position >= duration);
  playButton.querySelector("span").textContent = playing ? "Pause" : state.position >= duration ? "Played" : state.position > 0 ? "Continue" : "Play";
  playButton.querySelector("use")?.setAttribute("href", playButton.querySelector("use").getAttribute("href").replace(/#.*/, playing ? "#pause" : "#play"));
}

function fillForm() {
  for (const name of ["position", "played", "muted"]) form.elements[name].value = state[name].toFixed(1);
  for (const name of ["pauses", "rewinds"]) form.elements[name].value = state[name].toFixed(0);
  form.elements.heard.value = heard.map((part) => part.map((second) => second.toFixed(1)).join("-")).join(" ");
  form.elements.delivered_by.value = media ? (media.tagName === "VIDEO" ? "video" : "recording") : voice ? "voice" : "words";
}

function advance() {
  const now = performance.now();
  const step = ((now - last) / 1000) * speed;
  last = now;
  if (!playing) return;
  const before = state.position;
  if (media) state.position = media.ended ? duration : Math.min(media.currentTime, duration);
  else if (voice) state.position = Math.max(before, Math.min(before + (sounding ? step : 0), endOf(spoken)));
  else state.position = Math.min(before + step, duration);
  if (state.position > before) noteSound(before);
  state.played = Math.max(state.played, state.position);
  if (voice) speak();
  if (state.position >= duration) stop("Finished. You can go on.");
  else if (state.played - reported >= REPORT_EVERY) void report();
  remember();
  draw();
}

function noteSound(from) {
  if (media && (media.muted || media.volume === 0)) state.muted += state.position - from;
  else if (media || (voice && sounding)) {
    const part = heard.at(-1);
    if (part && from >= part[0] && from <= part[1] + 1) part[1] = Math.max(part[1], state.position);
    else heard.push([from, state.position]);
  }
}

function endOf(sentence) {
  return starts[sentence + 1] ?? duration;
}

// One utterance a sentence; the next one begins when it has ended, so that none is cut.
function speak() {
  const current = sentenceAt(state.position);
  if (spoken >= 0) return;
  spoken = current;
  const utterance = new SpeechSynthesisUtterance(sentences[current].textContent);
  utterance.lang = player.dataset.language;
  utterance.rate = speed;
  utterance.onstart = utterance.onboundary = () => {
    if (spoken !== current) return;
    clearTimeout(silence);
    sounding = true;
  };
  utterance.onend = () => {
    if (spoken !== current || !playing || !sounding) return;
    const before = state.position;
    state.position = endOf(current);
    noteSound(before);
    spoken = -1;
  };
  utterance.onerror = ({ error }) => {
    if (spoken === current && error !== "interrupted" && error !== "canceled") readInstead();
  };
  clearTimeout(silence);
  silence = setTimeout(readInstead, SILENT_AFTER);
  speechSynthesis.speak(utterance);
}

function hush() {
  clearTimeout(silence);
  spoken = -1;
  sounding = false;
  if (voice) speechSynthesis.cancel();
}

// The voice says nothing: the words go on in reading pace, and the report says so.
function readInstead() {
  if (!playing || !voice) return;
  hush();
  voice = false;
  note.textContent = "This tablet has no voice, so please read along.";
  document.getElementById("captions").hidden = false;
  void report();
}

async function report() {
  if (over) return;
  remember();
  fillForm();
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
  note.textContent = "";
  if (voice) {
    state.position = starts[sentenceAt(state.position)]; // a sentence that was left is said from its beginning
    speak(); // inside the tap, or Safari stays silent
  }
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
  hush();
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
  hush();
  if (media) media.currentTime = state.position;
  draw();
  void report();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && playing) pause("Paused while the page was hidden.");
});
for (const button of document.querySelectorAll("[data-skip]")) {
  button.addEventListener("click", () => (form.elements.skip_reason.value = button.dataset.skip));
}
form.addEventListener("submit", forget);
addEventListener("pagehide", hush);

setInterval(advance, TICK);
draw();
