// Filters the rows of a page's tables by what their attributes and words say, and keeps what was chosen in the address.
"use strict";

const form = document.querySelector(".filters");
const sections = [...document.querySelectorAll("section.filtered")];

function chosen() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
}

function matches(row, wanted) {
  const words = (wanted.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${row.dataset.runner} ${row.textContent}`.toLowerCase();
  const named = [...wanted].filter(([name]) => name in row.dataset);
  return words.every((word) => text.includes(word)) && named.every(([name, value]) => row.dataset[name] === value);
}

function filter() {
  const wanted = chosen();
  let count = 0;
  let all = 0;
  for (const section of sections) {
    const rows = [...section.querySelectorAll("tbody tr")];
    for (const row of rows) row.hidden = !matches(row, wanted);
    const shown = rows.filter((row) => !row.hidden).length;
    section.hidden = shown === 0;
    count += shown;
    all += rows.length;
  }
  const output = form.querySelector("output");
  output.textContent = `${count === all ? all : `${count} of ${all}`} ${output.dataset.noun}`;
  const state = wanted.toString();
  if (state !== (location.hash.startsWith("#?") ? location.hash.slice(2) : "")) {
    history.replaceState(null, "", state ? `#?${state}` : location.pathname + location.search);
  }
}

function restore() {
  if (!location.hash.startsWith("#?")) return;
  const state = new URLSearchParams(location.hash.slice(2));
  for (const field of form.elements) {
    if (field.name) field.value = state.get(field.name) ?? "";
  }
}

form.hidden = false;
restore();
filter();
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", () => { restore(); filter(); });
document.documentElement.classList.add("ready");
