/** Comforts on top of pages that work without any script. */

const POLL_MS = 3_000;
const SLOWEST_POLL_MS = 15_000;
const CODE_PATH = "/_runegate/code";
const CODE_HALF = 4;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

showLocalTimes(document);
sendOnce(document);

// A script has brought a part of the page anew.
document.addEventListener("runegate:shown", ({ target }) => {
  if (!(target instanceof Element)) return;
  showLocalTimes(target);
  sendOnce(target);
});

/** @param {ParentNode} part */
function showLocalTimes(part) {
  for (const time of part.querySelectorAll("time")) {
    const style =
      "short" in time.dataset
        ? { timeStyle: "short" }
        : "brief" in time.dataset
          ? { dateStyle: "medium", timeStyle: "short" }
          : { dateStyle: "long", timeStyle: "long" };
    const local = new Intl.DateTimeFormat(document.documentElement.lang, style);
    time.title = time.textContent;
    time.textContent = local.format(new Date(time.dateTime));
  }
}

/**
 * Keeps forms from being sent twice by a second press of their button. Not the menu of languages, nor a button with a name: that is part of
 * what is sent, and a disabled one says nothing.
 * @param {ParentNode} part
 */
function sendOnce(part) {
  for (const form of part.querySelectorAll("main form")) {
    const button = form.querySelector("button:not([name])");
    if (!(button instanceof HTMLButtonElement)) continue;
    let sent = false;
    form.addEventListener("submit", () => {
      sent = true;
      button.disabled = true;
    });
    // A page that comes back from the history is shown as it was left.
    addEventListener("pageshow", () => {
      if (sent) button.disabled = false;
      sent = false;
    });
  }
}

// An address that is filled in is sent as it is, or typed over.
const email = document.querySelector("#email:not([aria-invalid])");
if (email instanceof HTMLInputElement && email === document.activeElement) email.select();

for (const button of document.querySelectorAll("button[data-copy]")) {
  // Browsers have one on secure pages only.
  if (button instanceof HTMLButtonElement && "clipboard" in navigator) offerCopy(button);
}

const code = document.querySelector("input.code");
if (code instanceof HTMLInputElement) {
  code.addEventListener("input", () => {
    formatCode(code);
    // Eight digits are a whole code; letters may still be a paste that is about to be trimmed.
    if (code.inputMode === "numeric" && /^\d{4} \d{4}$/.test(code.value)) code.form?.requestSubmit();
  });
}

const login = document.querySelector("[data-login]");
if (login instanceof HTMLElement) {
  followLogin(login.dataset.login, inSeconds(login.dataset.seconds), login.dataset.at ?? CODE_PATH);
}

for (const button of document.querySelectorAll("button[data-wait]")) {
  if (button instanceof HTMLButtonElement) holdBack(button, inSeconds(button.dataset.wait));
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
    button.textContent = button.dataset.copied ?? "";
  });
}

/**
 * Shows a code in two halves, with a blank between digits and else a hyphen, and leaves the caret where it was. Anything too long to
 * be a code is left alone: it may be a paste that the person is about to trim.
 * @param {HTMLInputElement} input
 */
function formatCode(input) {
  const typed = input.value;
  const plain = typed.replace(/[^a-z0-9]/gi, "").toUpperCase();
  if (plain.length > 2 * CODE_HALF) return;
  const gap = input.inputMode === "numeric" ? " " : "-";
  const shown =
    plain.length > CODE_HALF ? `${plain.slice(0, CODE_HALF)}${gap}${plain.slice(CODE_HALF)}` : plain;
  if (shown === typed) return;
  const before = typed.slice(0, input.selectionStart ?? typed.length).replace(/[^a-z0-9]/gi, "").length;
  const caret = before > CODE_HALF ? before + 1 : before;
  input.value = shown;
  input.setSelectionRange(caret, caret);
}

/**
 * Counts down to the end of a login, and draws its page anew when it has another state: it was opened in another tab, approved on
 * another device, or has expired.
 * @param {string | undefined} state that the page shows
 * @param {number} until on the clock of `performance.now()`
 * @param {string} path of its page, which tells a script its state
 */
function followLogin(state, until, path) {
  let wait = POLL_MS;
  // Mail takes its time; whoever holds a phone stands in front of the screen.
  const slowest = path === CODE_PATH ? SLOWEST_POLL_MS : POLL_MS;
  let looking = setTimeout(look, wait);
  // Whoever comes back from their mail is not kept waiting.
  document.addEventListener("visibilitychange", () => {
    wait = POLL_MS;
    if (!document.hidden) look();
  });
  if (document.querySelector("[data-left]") || state === "used_up") count();

  async function look() {
    clearTimeout(looking);
    if (!document.hidden) {
      const now = await stateOfLogin(path);
      // Not this address: the page may be the answer to a form.
      if (now !== undefined && now !== state) return location.replace(path);
    }
    clearTimeout(looking);
    wait = Math.min(slowest, wait * 1.25);
    looking = setTimeout(look, wait);
  }

  function count() {
    const left = until - performance.now();
    const seconds = Math.max(0, Math.ceil(left / SECOND));
    const shown = document.querySelector("[data-left]");
    const text = `${number(Math.floor(seconds / 60))}:${number(seconds % 60, 2)}`;
    if (shown) shown.textContent = `(${text})`;
    const soon = document.querySelector("[data-soon]");
    if (soon instanceof HTMLElement && soon.textContent === "" && left <= MINUTE) {
      soon.textContent = soon.dataset.soon ?? "";
    }
    if (seconds > 0) setTimeout(count, SECOND);
    else look();
  }
}

/** @param {string | undefined} seconds from now, as the server counts: the clock of this machine may be wrong. */
function inSeconds(seconds) {
  return performance.now() + Number(seconds) * SECOND;
}

/**
 * In the digits of the page's language.
 * @param {number} value
 * @param {number} [digits] at least
 */
function number(value, digits = 1) {
  return new Intl.NumberFormat(document.documentElement.lang, {
    minimumIntegerDigits: digits,
    useGrouping: false,
  }).format(value);
}

/**
 * @param {string} path
 * @returns {Promise<string | undefined>} undefined while offline, or where Runegate restarts: the next look will tell.
 */
async function stateOfLogin(path) {
  try {
    const response = await fetch(path, {
      headers: { accept: "application/json" },
      cache: "no-store",
    });
    return response.ok ? (await response.json()).state : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keeps a button from being pressed before it is of use, and says for how long.
 * @param {HTMLButtonElement} button
 * @param {number} until on the clock of `performance.now()`
 */
function holdBack(button, until) {
  const text = button.textContent;
  tick();
  function tick() {
    const seconds = Math.ceil((until - performance.now()) / SECOND);
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `${text} (${number(seconds)})` : text;
    if (seconds > 0) setTimeout(tick, SECOND);
  }
}
