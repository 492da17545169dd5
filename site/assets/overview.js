// Filters the cases of the overview, keeps what was chosen in the address, and says how long ago a moment was.
"use strict";

const form = document.querySelector(".filters");
const runners = [...document.querySelectorAll("section.runner")];

function chosen() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
}

function matches(runner, row, wanted) {
  const words = (wanted.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${runner.dataset.runner} ${row.textContent}`.toLowerCase();
  return (
    words.every((word) => text.includes(word)) &&
    (!wanted.has("runner") || runner.dataset.runner === wanted.get("runner")) &&
    ["model", "quantization", "outcome"].every((name) => !wanted.has(name) || row.dataset[name] === wanted.get(name))
  );
}

function filter() {
  const wanted = chosen();
  let count = 0;
  let all = 0;
  for (const runner of runners) {
    let shown = 0;
    for (const row of runner.querySelectorAll("tbody tr")) {
      row.hidden = !matches(runner, row, wanted);
      shown += row.hidden ? 0 : 1;
      all += 1;
    }
    runner.hidden = shown === 0;
    count += shown;
  }
  form.querySelector("output").textContent = count === all ? `${all} cases` : `${count} of ${all} cases`;
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

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(element) {
  const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["minute", 60];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.round(seconds / length), unit);
  element.title = element.textContent;
  element.textContent = words;
}

document.querySelectorAll(".banner time").forEach(ago);
form.hidden = false;
restore();
filter();
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", () => { restore(); filter(); });
document.documentElement.classList.add("ready");
