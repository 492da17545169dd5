// Marks moments that have not come yet: the clock of the machine that recorded them went wrong, and what it recorded
// stands where that clock said.
"use strict";

{
  const SLACK_MS = 24 * 60 * 60 * 1000; // the visitor's clock may go wrong, too

  for (const time of document.querySelectorAll("time")) {
    if (Date.parse(time.dateTime) <= Date.now() + SLACK_MS) continue;
    const note = document.createElement("span");
    note.className = "skewed";
    note.textContent = " (in the future: a clock went wrong)";
    time.after(note);
  }
}
