/** Comforts on top of pages that work without any script. */

const POLL_MS = 3000;
const CODE_HALF = 4;

for (const time of document.querySelectorAll("time")) {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });
  time.title = time.textContent;
  time.textContent = local.format(new Date(time.dateTime));
}

for (const form of document.forms) {
  const button = form.querySelector("button");
  form.addEventListener("submit", () => {
    if (button) button.disabled = true;
  });
  // A page that comes back from the history is shown as it was left.
  addEventListener("pageshow", () => {
    if (button) button.disabled = false;
  });
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  // Browsers have one on secure pages only.
  if (button instanceof HTMLButtonElement && "clipboard" in navigator) offerCopy(button);
}

const code = document.querySelector("input.code");
if (code instanceof HTMLInputElement) {
  code.addEventListener("input", () => formatCode(code));
}

const waiting = document.querySelector("form[data-wait-minutes]");
if (waiting instanceof HTMLFormElement) {
  const { waitMinutes, next = "", before } = waiting.dataset;
  // The server has checked `next`; a second look costs nothing: `//host` and `/\host` lead to other hosts.
  const target = /^\/(?![/\\])/.test(next) ? next : "/";
  waitForSession(target, Date.now() + Number(waitMinutes) * 60_000, before);
}

/**
 * Copies what an element of the page says, and says so.
 * @param {HTMLButtonElement} button
 */
function offerCopy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy ?? "")?.textContent ?? "";
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  });
}

/**
 * Shows letters and digits as XXXX-XXXX and leaves the caret where it was in them. Anything too long to be a code is
 * left alone: it may be a paste that the person is about to trim.
 * @param {HTMLInputElement} input
 */
function formatCode(input) {
  const typed = input.value;
  const plain = typed.replace(/[^a-z0-9]/gi, "").toUpperCase();
  if (plain.length > 2 * CODE_HALF) return;
  const shown = plain.length > CODE_HALF ? `${plain.slice(0, CODE_HALF)}-${plain.slice(CODE_HALF)}` : plain;
  if (shown === typed) return;
  const before = typed.slice(0, input.selectionStart ?? typed.length).replace(/[^a-z0-9]/gi, "").length;
  const caret = before > CODE_HALF ? before + 1 : before;
  input.value = shown;
  input.setSelectionRange(caret, caret);
}

/**
 * Goes on to `target` once this browser is signed in, which the link does in another tab.
 * @param {string} target
 * @param {number} deadline after which the link is dead, milliseconds since the Unix epoch
 * @param {string | undefined} before when the session began that is to be replaced
 */
function waitForSession(target, deadline, before) {
  const timer = setInterval(look, POLL_MS);
  document.addEventListener("visibilitychange", look);
  async function look() {
    if (Date.now() > deadline) {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    } else if (!document.hidden && (await isSignedIn(before))) {
      location.replace(target);
    }
  }
}

/** @param {string | undefined} before */
async function isSignedIn(before) {
  try {
    const response = await fetch("/_runegate/session", {
      headers: { accept: "application/json" },
      cache: "no-store",
    });
    if (!response.ok) return false;
    const { authenticated, created_at } = await response.json();
    return authenticated === true && (before === undefined || created_at !== before);
  } catch {
    // Offline or restarting: the next look will tell.
    return false;
  }
}
