// Sorts the devices of each case by the metric that is chosen: those that have it not come last.
"use strict";

const LESS_IS_BETTER = new Set(["energy", "memory"]);

function sort() {
  const name = form.elements.sort.value || "decode";
  const sign = LESS_IS_BETTER.has(name) ? 1 : -1;
  const value = (row) => (name in row.dataset ? sign * Number(row.dataset[name]) : Infinity);
  for (const table of document.querySelectorAll("table.devices")) {
    for (const head of table.querySelectorAll("th[data-sort]")) head.removeAttribute("aria-sort");
    table.querySelector(`th[data-sort="${name}"]`).setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => (value(a) === value(b) ? 0 : value(a) - value(b))));
  }
}

sort();
form.addEventListener("input", sort);
addEventListener("hashchange", sort);
