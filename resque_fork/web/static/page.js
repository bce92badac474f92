// Replaces the parts of the page that have changed, every two seconds while somebody can see them.
"use strict";

const EVERY = 2000; // milliseconds; more where the server takes long to answer
const SHARE = 10; // the server is busy with one reader for at most this part of the time
const live = document.getElementById("live");
let etag = "";
let ahead = null; // milliseconds by which the server's clock is ahead of ours
let timer = 0;

function parts(root) {
  return [...root.querySelectorAll("[data-part]")];
}

let pressed = false; // a link that is replaced between press and release is not followed
for (const type of ["pointerdown", "pointerup", "pointercancel"]) {
  document.addEventListener(type, () => { pressed = type === "pointerdown"; }, true);
}

// What a reader has chosen stays: text, a checkbox, or a field that is being filled in.
function isHeld(part) {
  if (pressed) return true;
  const text = getSelection();
  if (text && !text.isCollapsed && text.intersectsNode(part)) return true;
  if (part.querySelector("input:checked")) return true; // the server checks none
  return part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
}

function nameOf(element) {
  return element.id || element.getAttribute("href") || element.value + element.formAction;
}

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  fresh = document.importNode(fresh, true);
  fresh.querySelectorAll("details").forEach((details, n) => { details.open = open[n] ?? details.open; });
  offerAll(fresh);
  old.replaceWith(fresh);
  if (focused !== null) {
    [...fresh.querySelectorAll("a, button, summary")].find((e) => nameOf(e) === focused)?.focus({ preventScroll: true });
  }
}

function take(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = new Map(parts(page).map((part) => [part.dataset.part, part]));
  let held = false;
  for (const old of parts(document)) {
    const part = fresh.get(old.dataset.part);
    if (part && part.innerHTML !== old.innerHTML) {
      if (isHeld(old)) held = true;
      else replace(old, part);
    }
  }
  return held;
}

async function refresh() {
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: etag ? { "If-None-Match": etag } : {} });
    ahead = Date.parse(answer.headers.get("Date")) - Date.now();
    if (answer.status === 200) {
      const held = take(await answer.text());
      etag = held ? "" : answer.headers.get("ETag");
      live.textContent = held ? "Waiting: something is selected" : "Live";
    } else if (answer.status === 304) {
      live.textContent = "Live";
    } else {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const problem = page.querySelector(".note.fail") || page.body;
      live.textContent = `Not live: ${problem.textContent.trim().slice(0, 200)}`;
    }
  } catch {
    live.textContent = "Not live: the dashboard does not answer";
  }
  plan(Math.max(EVERY, SHARE * (performance.now() - began)));
}

function plan(milliseconds) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, milliseconds);
}

function duration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const found = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    const number = Math.floor(rest / size);
    rest %= size;
    if (number || found.length || unit === "s") found.push(number + unit);
  }
  return found.slice(0, 2).join(" ");
}

// Ages go on by themselves, so that a page on which nothing else changes need not be sent again.
function age() {
  if (ahead === null) return;
  const now = (Date.now() + ahead) / 1000;
  for (const time of document.querySelectorAll("time[data-since], time[data-until]")) {
    const then = Date.parse(time.dateTime) / 1000;
    if (Number.isNaN(then)) continue;
    const left = "until" in time.dataset;
    time.textContent = left && then <= now ? "due" : duration(left ? then - now : now - then);
  }
}

// A checkbox that selects all.
function offerAll(root) {
  for (const head of root.querySelectorAll("[data-select-all]")) {
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Select all on this page");
    all.addEventListener("change", () => {
      const boxes = head.closest("form").querySelectorAll(`input[name="${head.dataset.selectAll}"]`);
      boxes.forEach((box) => { box.checked = all.checked; });
    });
    head.replaceChildren(all);
  }
}

// What goes on in slices sends the next form by itself, until it is stopped.
const next = document.querySelector("form[data-goes-on]");
if (next) {
  const timer = setTimeout(() => next.requestSubmit(next.querySelector("button")), 200);
  next.querySelector("a").addEventListener("click", () => clearTimeout(timer));
}

offerAll(document);
if (parts(document).length) {
  document.addEventListener("visibilitychange", () => plan(0));
  setInterval(age, 1000);
  plan(EVERY);
}
