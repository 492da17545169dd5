// Filters what a page lists by its attributes and words, and keeps what was chosen in the address.
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
  const state = wanted.toString();
  let count = 0;
  let all = 0;
  for (const section of sections) {
    const rows = [...section.querySelectorAll("[data-model]")];
    for (const row of rows) row.hidden = !matches(row, wanted);
    const shown = rows.filter((row) => !row.hidden).length;
    section.hidden = shown === 0 && (rows.length > 0 || state !== "");
    count += shown;
    all += rows.length;
  }
  const output = form.querySelector("output");
  const noun = all === 1 ? output.dataset.noun.replace(/s$/, "") : output.dataset.noun;
  output.textContent = `${count === all ? all : `${count || "none"} of ${all}`} ${noun}`;
  form.querySelector("[type=reset]").hidden = state === "";
  if (state !== (location.hash.startsWith("#?") ? location.hash.slice(2) : "")) {
    history.replaceState(null, "", state ? `#?${state}` : location.pathname + location.search);
  }
}

// What an address asks for and no row has is a choice all the same: of nothing.
function restore() {
  if (!location.hash.startsWith("#?")) return;
  const state = new URLSearchParams(location.hash.slice(2));
  for (const field of form.elements) {
    if (!field.name) continue;
    const value = state.get(field.name) ?? "";
    const isChoice = !field.options || [...field.options].some((option) => option.value === value);
    const isOfRows = document.querySelector(`[data-model][data-${field.name}]`) !== null;
    if (!isChoice && isOfRows) field.add(new Option(value));
    field.value = isChoice || isOfRows ? value : "";
  }
}

form.hidden = false;
restore();
filter();
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(() => form.dispatchEvent(new Event("input"))));  // once it has
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", () => { restore(); filter(); });
document.documentElement.classList.add("ready");
