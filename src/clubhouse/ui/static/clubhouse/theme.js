// Runs before the first paint: the widget kit and the browser's own controls follow a class, the page follows data-theme.
(() => {
  const root = document.documentElement;
  const device = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = root.dataset.theme;
    const dark = theme === "dark" || (theme !== "light" && device.matches);
    root.classList.toggle("wa-dark", dark);
    root.classList.toggle("wa-light", !dark);
  };
  apply();
  device.addEventListener("change", apply);
  new MutationObserver(apply).observe(root, { attributeFilter: ["data-theme"] });
})();
