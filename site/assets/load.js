// Loads the data of runs and pages: a page from disk may not fetch a file, but may run a script that hands it over.
"use strict";

const loaded = new Map();
let handed = null;

// Under the name that the scripts call.
function hand(found) {
  handed = found;
}

// Its load event follows a script at once, before any other script runs.
function load(src) {
  if (!loaded.has(src)) {
    loaded.set(src, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = src;
      const refuse = (why) => {
        loaded.delete(src);
        reject(new Error(`${src} ${why}`));
      };
      // A script that is cut short loads, too, but hands over nothing.
      script.onload = () => {
        const found = handed;
        handed = null;
        if (found) resolve(found);
        else refuse("is damaged");
      };
      script.onerror = () => refuse("is not there");
      document.head.append(script);
    }));
  }
  return loaded.get(src);
}
