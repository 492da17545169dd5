// Draws every `.chart` from the JSON inside it, in the colours of the style sheet.
"use strict";

// The buttons are named one by one: Plotly's own set has one that uploads the chart.
const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function coloured(trace) {
  const own = colour(`series-${trace.meta.slot}`);
  return {
    ...trace,
    line: { ...trace.line, color: own, width: 2 },
    marker: { ...trace.marker, color: own },
    error_y: trace.error_y && { ...trace.error_y, color: own, thickness: 1.5, width: 5 },
    textfont: { color: colour("regressed"), size: 13 },
  };
}

function themed(layout) {
  const lines = { gridcolor: colour("rule"), linecolor: colour("rule"), zerolinecolor: colour("rule-strong") };
  return {
    ...layout,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("rule-strong"), font: { color: colour("text") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text") },
    xaxis: { ...layout.xaxis, ...lines, fixedrange: true },
    yaxis: { ...layout.yaxis, ...lines },
    yaxis2: { ...layout.yaxis2, ...lines },
  };
}

function draw(element, figure) {
  return Plotly.react(element, figure.data.map(coloured), themed(figure.layout), CONFIG);
}

const charts = [...document.querySelectorAll(".chart")].map((element) => {
  const figure = JSON.parse(element.querySelector("script").textContent);
  return { element, figure };
});

const drawAll = () => Promise.all(charts.map(({ element, figure }) => draw(element, figure)));
drawAll().then(() => document.documentElement.classList.add("drawn"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
