// Before the first paint: light or dark, as chosen here or by the system; roomy or dense.
(() => {
  const chosen = localStorage.getItem("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => { document.documentElement.dataset.theme = localStorage.getItem("theme") || (dark.matches ? "dark" : "light"); };
  if (chosen !== "light" && chosen !== "dark") localStorage.removeItem("theme");
  apply();
  dark.addEventListener("change", apply);
  document.documentElement.dataset.density = localStorage.getItem("density") === "dense" ? "dense" : "roomy";
})();
