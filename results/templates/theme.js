"use strict";
(function () {
  const KEY = "hashbench-theme";
  const root = document.documentElement;
  function stored() {
    try { return localStorage.getItem(KEY); } catch (error) { return null; }
  }
  const before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  function dark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }
  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    function show() { button.setAttribute("aria-pressed", String(dark())); }
    button.hidden = false;
    button.addEventListener("click", function () {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem(KEY, root.dataset.theme); } catch (error) { /* not remembered */ }
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
  });
})();
