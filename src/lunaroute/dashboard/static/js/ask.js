// Asking the API, and telling what came of it. Without effects of its own: modules that import it under one address and a
// page that loads it under another would have them twice.
export async function ask(path, method = "GET", body) {
  const answer = await fetch(`/api/v1${path}`, { method, headers: body ? { "content-type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

let end = null;
export function tell(text) {
  const toast = document.querySelector("[data-toast]");
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(end);
  end = setTimeout(() => toast.classList.remove("shown"), 2200);
}
