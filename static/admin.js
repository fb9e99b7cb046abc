/** Keeps the lists of the admin pages current. Nothing on them needs it. */

const EVERY_MS = 5_000;
/** A page that nobody touches is not asked for any longer: that would keep its session from ever resting. */
const REST_MS = 5 * 60_000;

/** By the id of a list, as it came. */
const shown = new Map();
let touched = performance.now();
for (const event of ["pointerdown", "keydown", "scroll", "visibilitychange"]) {
  addEventListener(event, () => (touched = performance.now()), { passive: true });
}

if (document.querySelector("[data-live]")) setTimeout(look, EVERY_MS);

async function look() {
  const isWatched = !document.hidden && performance.now() - touched < REST_MS;
  if (!isWatched || (await refresh())) setTimeout(look, EVERY_MS);
}

/** @returns {Promise<boolean>} whether to go on: not where one has to sign in again */
async function refresh() {
  try {
    const response = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    if (response.status >= 500) return true;
    if (!response.ok) return false;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const list of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(list.id);
      // Nothing moves under a finger, or away from somebody who reads it by keyboard.
      const isInUse = list.matches(":hover, :focus-within") || list.querySelector("details[open]");
      if (other === null || isInUse || other.innerHTML === shown.get(list.id)) continue;
      shown.set(list.id, other.innerHTML);
      list.replaceChildren(...other.childNodes);
      // The page's own script makes its times local.
      list.dispatchEvent(new Event("runegate:shown", { bubbles: true }));
    }
    return true;
  } catch {
    return true;
  }
}
