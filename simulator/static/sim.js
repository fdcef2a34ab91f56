// Buttons and forms post JSON to the control API; the page redraws itself when the server's version changes.
"use strict";

const POLL_MS = 2000;
const live = document.getElementById("live");
const toast = document.getElementById("toast");
let version = document.body.dataset.version;
let dragging = null;
let toastTimer = 0;

function say(text) {
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, 5000);
}

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const data = await answer.json();
    if (!answer.ok) say(data.error || "Не получилось: " + answer.status);
  } catch {
    say("Сервер не отвечает");
  }
  await redraw();
}

function paint(root) {
  for (const dot of root.querySelectorAll("[data-color]")) dot.style.backgroundColor = dot.dataset.color;
}

function swap(fresh, selector) {
  const mine = document.querySelector(selector);
  const other = fresh.querySelector(selector);
  if (!mine || !other || mine.innerHTML === other.innerHTML) return;
  const open = new Set([...mine.querySelectorAll("details[open] summary")].map((item) => item.textContent));
  const scrolled = new Map([...mine.querySelectorAll("[data-keep-scroll]")].map((item) => [item.dataset.keepScroll, item.scrollLeft]));
  const own = mine.scrollLeft;
  mine.innerHTML = other.innerHTML;
  for (const item of mine.querySelectorAll("[data-keep-scroll]")) item.scrollLeft = scrolled.get(item.dataset.keepScroll) || 0;
  for (const summary of mine.querySelectorAll("details summary")) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
  }
  mine.scrollLeft = own;
  paint(mine);
}

async function redraw() {
  if (dragging || live.contains(document.activeElement) && document.activeElement.matches("select, input")) return;
  const answer = await fetch(location.href);
  if (answer.status === 404) location.href = "/";
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  version = fresh.body.dataset.version;
  swap(fresh, "#live");
  swap(fresh, "#tools");
}

async function poll() {
  try {
    const answer = await fetch("/sim/state?brief=1");
    const state = await answer.json();
    const clock = document.getElementById("clock");
    if (clock) clock.textContent = moscow(state.now);
    if (String(state.version) !== version) await redraw();
    document.body.classList.remove("offline");
  } catch {
    document.body.classList.add("offline");
  }
}

function moscow(iso) {
  const parts = new Intl.DateTimeFormat("ru-RU", {
    timeZone: "Europe/Moscow", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
  }).formatToParts(new Date(iso));
  const part = (type) => parts.find((item) => item.type === type).value;
  return `${part("day")} ${part("month")} ${part("year")}, ${part("hour")}:${part("minute")}`;
}

function read(form) {
  const body = {};
  for (const input of form.querySelectorAll("input[name], select[name]")) {
    if (input.type === "radio" && !input.checked) continue;
    const text = input.value.replace(/\s/g, "").replace(",", ".");
    let value = input.value.trim();
    if (input.dataset.as === "flag") value = input.checked || null;
    if (input.dataset.as === "number") value = text === "" ? null : Number(text);
    if (input.dataset.as === "kopecks") value = text === "" ? null : Math.round(Number(text) * 100);
    const [outer, inner] = input.dataset.nameFrom ? [input.name] : input.name.split(".");
    if (inner) (body[outer] ||= {})[inner] = value;
    else body[outer] = value;
  }
  return body;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.post) post(button.dataset.post, JSON.parse(button.dataset.body));
  if (button.hasAttribute("data-close")) button.closest("dialog").close();
  if (button.dataset.dialog) {
    const dialog = document.getElementById("dialog-" + button.dataset.dialog);
    dialog.dataset.id = button.dataset.id || "";
    for (const target of dialog.querySelectorAll("[data-fill]")) {
      const value = button.dataset[target.dataset.fill] || "";
      if ("value" in target) target.value = value;
      else target.textContent = value;
    }
    for (const target of dialog.querySelectorAll("[data-name-from]")) target.name = button.dataset[target.dataset.nameFrom];
    dialog.showModal();
  }
});

document.addEventListener("change", (event) => {
  const input = event.target;
  if (input.dataset.key) post(input.dataset.post, { [input.dataset.key]: input.checked });
  if (input.dataset.move && input.value) {
    const status = input.value;
    input.blur();
    post(`/sim/deals/${input.dataset.move}/move`, { status });
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.post) return;
  event.preventDefault();
  const dialog = form.closest("dialog");
  dialog.close();
  post(form.dataset.post.replace("{id}", dialog.dataset.id), read(form));
});

document.addEventListener("dragstart", (event) => {
  dragging = event.target.closest(".card");
  if (dragging) event.dataTransfer.setData("text/plain", dragging.dataset.deal);
});
document.addEventListener("dragend", () => {
  dragging = null;
  for (const stage of document.querySelectorAll(".over")) stage.classList.remove("over");
});
document.addEventListener("dragover", (event) => {
  const stage = event.target.closest(".stage");
  if (!dragging || !stage) return;
  event.preventDefault();
  for (const other of document.querySelectorAll(".over")) other.classList.remove("over");
  stage.classList.add("over");
});
document.addEventListener("drop", (event) => {
  const stage = event.target.closest(".stage");
  if (!dragging || !stage) return;
  event.preventDefault();
  const deal = dragging.dataset.deal;
  dragging = null;
  post(`/sim/deals/${deal}/move`, { status: stage.dataset.stage });
});

paint(document);
setInterval(poll, POLL_MS);
