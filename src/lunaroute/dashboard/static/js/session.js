// One session: folding, tags, and the turn that an address names.
import { ask, askText, tell } from "./ask.js";
import { visit } from "./visit.js";

document.addEventListener("click", async (event) => {
  const unfold = event.target.closest("[data-unfold]");
  if (unfold) {
    const all = [...document.querySelectorAll(`.turns ${unfold.dataset.unfold}`)], isOpen = all.some((one) => !one.open);
    all.forEach((one) => { one.open = isOpen; });
    return;
  }
  const tags = event.target.closest("[data-tags]");
  if (tags) {
    const given = await askText("Tags of this session, separated by commas", tags.dataset.ownTags);
    if (given === null) return;
    try { await ask(`/sessions/${tags.dataset.tags}/tags`, "PUT", { tags: given.split(",") }); visit(location.href, { isReplaced: true, y: scrollY }); } catch (error) { tell(error.message); }
  }
});
export function arrive(main) {
  const tab = main.querySelector(".tabs [aria-current]"), wanted = new URLSearchParams(location.search).get("at") || location.hash.slice(1);
  if (tab && tab.parentElement.scrollWidth > tab.parentElement.clientWidth) tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;
  if (wanted) document.getElementById(wanted)?.scrollIntoView();
}
