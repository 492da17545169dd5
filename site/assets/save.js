// Hands the visitor a file that the page has made, and writes tables as CSV.
"use strict";

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function csv(lines) {
  // What a spreadsheet would take for a formula is text.
  const plain = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return lines.map((line) => line.map(plain).map(quoted).join(",")).join("\n") + "\n";
}
