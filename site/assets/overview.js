// Says how long ago the moments of the overview were, or how far off they are by a clock that goes wrong, and shows the
// metric that is chosen alone.
"use strict";

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(element) {
  const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["minute", 60];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.round(seconds / length), unit);
  element.title = element.textContent;
  element.textContent = words;
}

document.querySelectorAll(".banner time").forEach(ago);

function show() {
  document.querySelector("main").dataset.metric = form.elements.metric.value;
}

show();
form.addEventListener("input", show);
addEventListener("hashchange", show);
