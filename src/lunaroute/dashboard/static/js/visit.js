// Going from page to page without loading one anew: `main`, the title and the mark in the navigation change; scripts, styles,
// fonts and the connection stay. What cannot be had this way is loaded as ever.
const SCRIPTS = { "[data-chart]": "charts", "[data-buckets]": "buckets", "[data-columns]": "columns", "[data-views]": "sessions", ".session": "session", "[data-timeline]": "timeline", "[data-sql]": "sql" };
const NO_PAGES = /^\/(api|static|metrics)(\/|$)/;
const prepared = [], arrived = [];
let under = null, asked = 0, shown = location.pathname + location.search;

// Told of a new `main` before it is shown; and after it is.
export function onPrepare(listener) { prepared.push(listener); }
export function onArrive(listener) { arrived.push(listener); }

// `isReplaced`: the address takes the place of the one before; `y`: where to scroll to, instead of the top or what the address names.
export async function visit(address, { isReplaced = false, isBack = false, y = null } = {}) {
  const url = new URL(address, location.href), mine = ++asked, before = document.getElementById("main");
  under?.abort();
  under = new AbortController();
  before.setAttribute("aria-busy", "true");
  let page, scripts;
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" }, signal: under.signal });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected || !page.getElementById("main")) throw new Error("no page of this dashboard");
    // Before it is shown, so that whatever can be pressed does something.
    scripts = await scriptsOf(page);
  } catch {
    if (mine === asked) location.href = url.href;
    return;
  }
  if (mine !== asked) return;
  if (!isBack) {
    history.replaceState({ y: scrollY }, "");
    history[isReplaced ? "replaceState" : "pushState"]({ y: 0 }, "", url);
  }
  show(page, before, url, y);
  arrive(document.getElementById("main"), scripts);
}

function show(page, before, url, y) {
  const next = document.adoptNode(page.getElementById("main")), isSamePage = shown.split("?")[0] === url.pathname, focused = isSamePage ? placeOf(document.activeElement) : null;
  const current = page.querySelector("#nav [aria-current]")?.getAttribute("href");
  shown = url.pathname + url.search;
  document.title = page.title;
  document.body.dataset.page = page.body.dataset.page;
  document.querySelectorAll("#nav a").forEach((one) => { if (one.getAttribute("href") === current) one.setAttribute("aria-current", "page"); else one.removeAttribute("aria-current"); });
  prepared.forEach((listener) => listener(next));
  before.replaceWith(next);
  htmx.process(next);
  ((focused && next.querySelector(focused)) || next).focus({ preventScroll: true });
  const target = y === null && url.hash ? document.getElementById(decodeURIComponent(url.hash.slice(1))) : null;
  if (target) target.scrollIntoView(); else scrollTo(0, y ?? 0);
}

// Where the keyboard was, so that it can go on from there; a pointer needs no place.
function placeOf(element) {
  if (!element?.name || !element.matches(":focus-visible:not([type=search])")) return null;
  return `[name="${CSS.escape(element.name)}"]${element.type === "radio" ? `[value="${CSS.escape(element.value)}"]` : ""}`;
}

function scriptsOf(page) {
  return Promise.all(Object.entries(SCRIPTS).filter(([selector]) => page.querySelector(selector)).map(([, name]) => import(`./${name}.js`)));
}
function arrive(main, scripts) {
  arrived.forEach((listener) => listener(main));
  scripts.forEach((script) => script.arrive(main));
}

// The first page, once everybody listens.
export async function begin() {
  history.scrollRestoration = "manual";
  if (history.state?.y && !location.hash) scrollTo(0, history.state.y);
  const main = document.getElementById("main"), scripts = await scriptsOf(main);
  if (main.isConnected) arrive(main, scripts);
}
addEventListener("pagehide", () => history.replaceState({ y: scrollY }, ""));
addEventListener("popstate", (event) => {
  // Places within the page are the browser's own business.
  if (location.pathname + location.search === shown) { if (event.state) scrollTo(0, event.state.y); return; }
  visit(location.href, { isBack: true, y: event.state?.y ?? 0 });
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const isHere = link.pathname + link.search === shown && link.hash;
  if (link.origin !== location.origin || link.target || link.hasAttribute("download") || NO_PAGES.test(link.pathname) || isHere) return;
  event.preventDefault();
  visit(link.href);
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "get" || !form.hasAttribute("action")) return;
  event.preventDefault();
  // Addresses stay short: what says nothing is left out.
  const asks = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)), address = new URL(form.action);
  address.search = asks;
  visit(address);
});
