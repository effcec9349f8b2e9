// What a session left on the device is dropped where the device changes hands: kept pages and drafts. What was sent and
// is not acknowledged stays, without a page that would show it.
// A form with a field `nothing_waits` asks the server to have the browser clear all the rest (Clear-Site-Data).

import { allSent, forgetDrafts } from "./device.js";
import { dropOtherPages } from "./offline_pages.js";

export async function forget() {
  await Promise.all([forgetDrafts(), dropOtherPages("")].map((dropping) => dropping.catch(() => {})));
}

export async function markEmpty(form) {
  const field = form.elements.nothing_waits;
  if (!field) return;
  try {
    field.value = (await allSent()).length ? "" : "yes";
  } catch {
    field.value = "yes"; // where nothing can be kept, nothing waits
  }
}
