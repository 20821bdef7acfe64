"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.value = theme;
  };
  const remember = (theme) => {
    try { localStorage.setItem("elic-theme", theme); } catch { /* a file that is opened from a disk may have no storage */ }
  };
  const remembered = () => {
    try { return localStorage.getItem("elic-theme"); } catch { return null; }
  };
  root.classList.add("scripted");
  show(themes.includes(remembered()) ? remembered() : "auto");
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.value) + 1) % themes.length];
    show(next);
    remember(next);
  });
})();
