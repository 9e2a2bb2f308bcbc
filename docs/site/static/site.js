// What the theme lacks for those who use a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".search-button__button")) {
    button.setAttribute("aria-label", button.textContent.trim().replace(/\s+/g, " ") || "Search");
  }
  for (const toggle of document.querySelectorAll("details > summary")) {
    const link = toggle.closest("li")?.querySelector("a");
    if (!toggle.textContent.trim() && link) {
      toggle.setAttribute("aria-label", `Pages of ${link.textContent.trim()}`);
    }
  }
  for (const box of document.querySelectorAll("table")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
