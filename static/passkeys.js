/** Passkeys: the browser's side of WebAuthn. Pages that load this work without it, and without passkeys. */

/** The server forgets a challenge after five minutes. */
const RENEW_MS = 4 * 60_000;

const isSupported = typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === "function";
const signIn = document.querySelector("#passkey-sign-in");
if (isSupported && signIn instanceof HTMLElement) offerSignIn(signIn);
const add = document.querySelector("form#add-passkey");
if (isSupported && add instanceof HTMLFormElement) offerAdding(add);

/** @param {HTMLElement} part */
async function offerSignIn(part) {
  const button = part.querySelector("button");
  button?.addEventListener("click", async () => {
    button.disabled = true;
    await ask(part);
    button.disabled = false;
  });
  const field = document.querySelector("#email");
  if (field instanceof HTMLInputElement && (await PublicKeyCredential.isConditionalMediationAvailable?.())) {
    // Offered among the addresses that the field completes.
    field.setAttribute("autocomplete", "username webauthn");
    await waitFor(part);
  }
  part.hidden = false;
}

/**
 * Waits until the person chooses a passkey at the field, for as long as the page is open.
 * @param {HTMLElement} part
 */
async function waitFor(part) {
  for (;;) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), RENEW_MS);
    const outcome = await ask(part, { mediation: "conditional", signal: controller.signal });
    clearTimeout(timer);
    if (outcome !== "AbortError") return;
  }
}

/**
 * @param {HTMLElement} part
 * @param {{ mediation?: CredentialMediationRequirement, signal?: AbortSignal }} [how]
 * @returns what kept it from being done; undefined if the browser is on its way.
 */
async function ask(part, how = {}) {
  try {
    const { publicKey, ticket } = await post("/sign-in/options");
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
    const credential = await navigator.credentials.get({ publicKey: options, ...how });
    const box = document.querySelector("#remember");
    const remember = box instanceof HTMLInputElement && box.checked ? "true" : undefined;
    const { next } = await post("/sign-in", { ticket, credential, next: part.dataset.next, remember });
    location.replace(next);
    return undefined;
  } catch (error) {
    if (error instanceof Refused) complain(part, part.dataset.refused ?? "");
    return error.name;
  }
}

/** @param {HTMLFormElement} form */
function offerAdding(form) {
  document.querySelector("#no-passkeys")?.remove();
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    try {
      const { publicKey, ticket } = await post("/options");
      const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
      const credential = await navigator.credentials.create({ publicKey: options });
      await post("", { ticket, credential, name: form.elements.namedItem("name")?.value });
      location.reload();
    } catch (error) {
      const { there, failed, old, full, refused } = form.dataset;
      const refusals = { sign_in_again: old, too_many_passkeys: full };
      const isThere = error.name === "InvalidStateError";
      const why = error instanceof Refused ? (refusals[error.message] ?? refused) : isThere ? there : failed;
      complain(form, why ?? "");
      if (button) button.disabled = false;
    }
  });
}

/**
 * @param {HTMLElement} part
 * @param {string} text
 */
function complain(part, text) {
  const place = part.querySelector("[role=alert]");
  if (!(place instanceof HTMLElement)) return;
  place.textContent = text;
  place.hidden = false;
}

/** What the server answers when it does not do what was asked: a code for programs, for which the page has the words. */
class Refused extends Error {}

/**
 * @param {string} path
 * @param {object} [body]
 */
async function post(path, body = {}) {
  const response = await fetch(`/_runegate/passkeys${path}`, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer.error);
  return answer;
}
