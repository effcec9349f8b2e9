// The tablet goes back to staff: before the form is sent, it tells whether anything waits on the device.

import { markEmpty } from "./forget.js";

const form = document.getElementById("step-form");

form.addEventListener("submit", async (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  await markEmpty(form);
  HTMLFormElement.prototype.submit.call(form);
});
