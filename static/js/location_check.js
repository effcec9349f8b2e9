// Starting a session: tells the position while it is being found, and takes a scanned code out of the address.

const EARTH = 6371008.8; // metres, mean radius
const card = document.getElementById("gps");

function radians(degrees) {
  return (degrees * Math.PI) / 180;
}

function metres(from, to) {
  const half =
    Math.sin(radians(to.latitude - from.latitude) / 2) ** 2 +
    Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude)) * Math.sin(radians(to.longitude - from.longitude) / 2) ** 2;
  return 2 * EARTH * Math.asin(Math.sqrt(half));
}

function say(kind, word, sentence) {
  const state = document.getElementById("gps-state");
  const [chip, text] = state.children;
  chip.className = `chip ${kind}`;
  chip.textContent = word;
  text.textContent = sentence;
}

const FRESH = 30_000; // milliseconds for which a better position stays before a later one
let best = null;

function inFeet(metres) {
  return `${Math.round(metres * 3.28084)} ft (${Math.round(metres)} m)`;
}

function found(position) {
  const better = best && position.timestamp - best.timestamp < FRESH && best.coords.accuracy < position.coords.accuracy;
  if (better) return;
  best = position;
  tell(position.coords);
}

// The server decides; this only shows what it will see.
function tell(coords) {
  const distance = metres(coords, { latitude: Number(card.dataset.latitude), longitude: Number(card.dataset.longitude) });
  const inside = distance <= Number(card.dataset.radius) && coords.accuracy <= 100;
  document.getElementById("id_latitude").value = coords.latitude;
  document.getElementById("id_longitude").value = coords.longitude;
  document.getElementById("id_accuracy").value = coords.accuracy;
  document.getElementById("gps-accuracy").textContent = inFeet(coords.accuracy);
  document.getElementById("gps-distance").textContent = inFeet(distance);
  if (inside) say("ok", "inside", "You are at the location.");
  else if (coords.accuracy > 1000) say("warn", "not sure", "The tablet gives only a rough position. Turn on “Precise Location” for this browser in the tablet's settings, then check again.");
  else if (coords.accuracy > 100) say("warn", "not sure", "The position is not precise enough yet. Step outside and wait a moment.");
  else say("warn", "outside", `Move closer and check again, or ${CONFIRM}.`);
}

const CONFIRM = "confirm the location yourself below";
const REASONS = {
  1: `This site is not allowed to see the position. Allow it in the browser's settings, or ${CONFIRM}.`,
  2: `The tablet cannot find its position. Step outside and check again, or ${CONFIRM}.`,
  3: `Finding the position takes too long. Check again, or ${CONFIRM}.`,
};

let watch = null;

function look() {
  if (!navigator.geolocation) return say("bad", "no position", `This browser cannot find its position: ${CONFIRM}.`);
  if (watch !== null) navigator.geolocation.clearWatch(watch);
  best = null;
  say("info", "looking", "Looking for the position.");
  const options = { enableHighAccuracy: true, timeout: 20000, maximumAge: 0 };
  watch = navigator.geolocation.watchPosition(found, lost, options);
}

// A late error takes nothing back from a good position.
function lost(error) {
  if (!best) say("bad", "no position", REASONS[error.code]);
}

if (card) {
  document.getElementById("gps-again").addEventListener("click", look);
  look();
}

// A scanned code arrives behind the #. It is kept for this tab until the place is chosen, then put in its field.
const scanned = new URLSearchParams(location.hash.slice(1)).get("place-code");
if (scanned) {
  sessionStorage.setItem("place-code", scanned);
  history.replaceState(null, "", location.pathname + location.search);
  const choice = document.querySelector('[name="place"][value="classroom"]');
  if (choice) choice.checked = true;
}
const field = document.getElementById("id_place_code");
if (field && !field.value) {
  field.value = sessionStorage.getItem("place-code") ?? "";
  sessionStorage.removeItem("place-code");
}
