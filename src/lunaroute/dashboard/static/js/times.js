// Moments in the reader's own time, and how long ago they are.
import { number } from "./numbers.js";

const minute = 60, hour = 3600, day = 86400;
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const exact = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const coarse = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function tellTime(element) {
  const at = new Date(element.dateTime);
  if (isNaN(at)) return;
  const ago = (Date.now() - at) / 1000;
  element.title = `${element.dateTime.replace("T", " ").replace("Z", "")} UTC`;
  const text = "relative" in element.dataset ? agoText(at, ago) : exact.format(at);
  // A text that is set is laid out again, even where it is the same.
  if (element.textContent !== text) element.textContent = text;
}
function agoText(at, ago) {
  if (ago < minute) return ago < 5 ? "just now" : relative.format(-Math.round(ago), "second");
  if (ago < hour) return relative.format(-Math.round(ago / minute), "minute");
  if (ago < day) return relative.format(-Math.round(ago / hour), "hour");
  return ago < 7 * day ? relative.format(-Math.round(ago / day), "day") : coarse.format(at);
}
export function tellTimes(root = document) {
  root.querySelectorAll("time[datetime]").forEach(tellTime);
  tellSince(root);
}
function tellSince(root) { root.querySelectorAll("[data-since]").forEach((one) => { one.textContent = number.ms(Date.now() - new Date(one.dataset.since)); }); }
setInterval(() => { if (!document.hidden) { document.querySelectorAll("time[data-relative]").forEach(tellTime); tellSince(document); } }, 1000);
