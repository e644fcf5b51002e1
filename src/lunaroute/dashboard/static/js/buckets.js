// Small histograms in tables.
import { number } from "./numbers.js";

export function arrive(main) { main.querySelectorAll("[data-buckets]").forEach(draw); }
function draw(element) {
  const buckets = JSON.parse(element.dataset.buckets);
  if (!buckets.length) return;
  const low = Math.log(buckets[0][0]), high = Math.log(buckets[buckets.length - 1][0]), bins = new Array(24).fill(0);
  buckets.forEach(([ms, count]) => { bins[high > low ? Math.min(23, Math.floor((Math.log(ms) - low) / (high - low) * 24)) : 12] += count; });
  const most = Math.max(...bins), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 96 22"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `From ${number.ms(buckets[0][0])} to ${number.ms(buckets[buckets.length - 1][0])}`);
  bins.forEach((count, n) => {
    if (!count) return;
    const rect = document.createElementNS(svg.namespaceURI, "rect"), height = Math.max(1.5, count / most * 22);
    for (const [name, value] of Object.entries({ x: n * 4, y: 22 - height, width: 3.2, height })) rect.setAttribute(name, value);
    svg.append(rect);
  });
  element.append(svg);
}
