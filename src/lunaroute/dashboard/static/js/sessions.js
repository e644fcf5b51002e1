// The list of sessions: order, marks, saved views.
import { ask, tell } from "./ask.js";
import { visit } from "./visit.js";

export function arrive(main) {
  main.querySelectorAll("select[data-param]").forEach((one) => one.addEventListener("change", () => {
    const address = new URL(location.href);
    if (one.value && one.value !== "newest") address.searchParams.set(one.dataset.param, one.value); else address.searchParams.delete(one.dataset.param);
    visit(address);
  }));
  main.querySelector("[data-save-view]").addEventListener("submit", async (event) => {
    event.preventDefault();
    try { await ask("/views", "PUT", { name: event.target.elements.name.value, address: location.pathname + location.search }); visit(location.href, { isReplaced: true }); } catch (error) { tell(error.message); }
  });
  main.querySelectorAll("[data-remove-view]").forEach((one) => one.addEventListener("click", async () => {
    try { await ask("/views", "DELETE", { name: one.dataset.removeView }); one.parentElement.remove(); } catch (error) { tell(error.message); }
  }));
}
