// Asking the API and the reader, and telling what came of it.
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

// A line of text from the reader; null where they think better of it.
export function askText(question, value = "") {
  const dialog = document.createElement("dialog"), form = document.createElement("form"), label = document.createElement("label"), input = document.createElement("input"), buttons = document.createElement("p");
  dialog.className = "question"; form.method = "dialog"; label.append(question, input); input.value = value; input.maxLength = 400; input.autocomplete = "off";
  // The first button is what Enter presses.
  [["ok", "Save", "button primary"], ["", "Cancel", "button"]].forEach(([name, text, style]) => { const button = document.createElement("button"); button.value = name; button.textContent = text; button.className = style; buttons.append(button); });
  form.append(label, buttons); dialog.append(form); document.body.append(dialog);
  dialog.showModal(); input.select();
  return new Promise((told) => dialog.addEventListener("close", () => { told(dialog.returnValue === "ok" ? input.value : null); dialog.remove(); }));
}
