// Light or dark: what the visitor chose, else what the system prefers. It runs before anything is painted.
"use strict";

{
  const NAME = "regress-theme";
  const root = document.documentElement;

  // A browser may keep nothing of a page from disk: the choice then lasts as long as the page.
  function stored() {
    try {
      return localStorage.getItem(NAME) ?? "";
    } catch {
      return "";
    }
  }

  function store(theme) {
    try {
      localStorage.setItem(NAME, theme);
    } catch {
      // As above.
    }
  }

  const changed = () => dispatchEvent(new Event("theme"));

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
    changed();
  }

  function start() {
    const field = document.querySelector(".theme select");
    const follow = () => {
      apply(stored());
      field.value = root.dataset.theme ?? "";
    };
    field.value = root.dataset.theme ?? "";
    field.closest(".theme").hidden = false;
    field.addEventListener("change", () => {
      store(field.value);
      apply(field.value);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    addEventListener("storage", ({ key }) => key === NAME && follow());
    addEventListener("pageshow", ({ persisted }) => persisted && follow());
  }

  apply(stored());
  addEventListener("DOMContentLoaded", start);
}
