// Draws ratios with their intervals, one beside the other, and the scale that they share.
"use strict";

const PLOT = { width: 260, height: 18, margin: 26, gap: 44 };
// About as far from 1 as this the scale bends from straight to logarithmic: 0.5 % and 80 % can both be seen.
const BEND = 0.01;
const LEAST_REACH = 0.006;
const TICKS = [
  [-99.9, -99, -95, -90, -80, -50, -20, -10, -5, -2, -1, -0.5, -0.2],
  [99900, 9900, 900, 400, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2],
];

// Where a ratio stands, as far as the farthest of them reaches, and round values with room for their names.
function scale(rows) {
  const reach = Math.max(LEAST_REACH, ...rows.flatMap((row) => [row.value, row.low, row.high]).filter(Number.isFinite).map((value) => Math.abs(Math.log(value))));
  const half = PLOT.width / 2 - PLOT.margin;
  const place = (value) => {
    const far = Math.abs(Math.log(value));
    return PLOT.width / 2 + (Math.sign(value - 1) * half * Math.log1p(far / BEND)) / Math.log1p(reach / BEND);
  };
  const ticks = [{ at: PLOT.width / 2, label: "0" }];
  for (const side of TICKS) {
    let last = null;
    for (const percent of side) {
      const value = 1 + percent / 100;
      const at = place(value);
      const free = (other) => Math.abs(at - other) >= PLOT.gap;
      if (Math.abs(Math.log(value)) <= reach && free(PLOT.width / 2) && (last === null || free(last))) {
        ticks.push({ at, label: `${percent > 0 ? "+" : ""}${percent}%` });
        last = at;
      }
    }
  }
  return { place, ticks };
}

function drawing(css, height) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", css);
  svg.setAttribute("viewBox", `0 0 ${PLOT.width} ${height}`);
  svg.setAttribute("aria-hidden", "true");
  const add = (tag, attributes, ...children) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    part.append(...children);
    svg.append(part);
  };
  return { svg, add };
}

function axis({ ticks }) {
  const { svg, add } = drawing("forest axis", PLOT.height);
  for (const { at, label } of ticks) {
    add("text", { x: at, y: 10, "text-anchor": "middle" }, label);
    add("line", { class: "grid", x1: at, x2: at, y1: 13, y2: PLOT.height });
  }
  return svg;
}

// Those that may not be compared have no colour.
function forest(row, { place, ticks }) {
  const kind = row.apart ? "apart" : row.high < 1 ? "regressed" : row.low > 1 ? "improved" : "";
  const { svg, add } = drawing(`forest ${kind}`, PLOT.height);
  for (const { at } of ticks) add("line", { class: at === PLOT.width / 2 ? "one" : "grid", x1: at, x2: at, y1: 0, y2: PLOT.height });
  if (row.low !== undefined) add("line", { x1: place(row.low), x2: place(row.high), y1: 9, y2: 9 });
  add("circle", { cx: place(row.value), cy: 9, r: 3.5 });
  return svg;
}
