/** What has to come along with a request for a mail: done here by a worker, or by a service's own script, which this prepares for. */

/** Of a proof: a little less than it is good for. */
const FRESH = 0.8;
/** For what is asked: whoever waits longer sends the form without a proof. */
const PATIENCE_MS = 10_000;
/** What hCaptcha's box needs. */
const WIDEST_BOX = 303;

const field = document.querySelector("input[data-worker]");
if (field instanceof HTMLInputElement && field.form !== null) workFor(field.form, field);

// Turnstile goes by the page's colors and width itself.
const box = document.querySelector(".h-captcha");
if (box instanceof HTMLElement) {
  if (matchMedia("(prefers-color-scheme: dark)").matches) box.dataset.theme = "dark";
  if (box.clientWidth < WIDEST_BOX) box.dataset.size = "compact";
}

/**
 * Begins when somebody begins to type, and holds the form back until it is done. Where it cannot be done the form is sent without: the
 * server takes that too, if seldom.
 * @param {HTMLFormElement} form
 * @param {HTMLInputElement} field
 */
function workFor(form, field) {
  /** @type {{ proof: Promise<string>, until: number } | undefined} */
  let work;
  let isReady = false;

  function begin() {
    if (work !== undefined && performance.now() < work.until) return work;
    const begun = { proof: Promise.resolve(""), until: Number.POSITIVE_INFINITY };
    begun.proof = proofBy(field.dataset.worker ?? "", (seconds) => {
      begun.until = performance.now() + seconds * 1000 * FRESH;
    }).catch(() => "");
    work = begun;
    return begun;
  }

  form.addEventListener("input", begin);
  form.addEventListener("submit", async (event) => {
    if (isReady) return;
    event.preventDefault();
    field.value = await begin().proof;
    // A proof that is there already is got before the browser is done with this event, and until then it takes no other submission
    // of the form (HTML, "firing submission events").
    await new Promise((resolve) => setTimeout(resolve));
    isReady = true;
    form.requestSubmit();
  });
  // A page that comes back from the history has used its proof.
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    work = undefined;
    isReady = false;
    field.value = "";
  });
}

/**
 * @param {string} script of the worker
 * @param {(seconds: number) => void} onChallenge told for how long what it asks is good
 * @returns {Promise<string>} empty where nothing is asked
 */
async function proofBy(script, onChallenge) {
  const response = await fetch("/_runegate/captcha", {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const { required, challenge, salt, bits, good_seconds: seconds } = await response.json();
  if (!required) return "";
  onChallenge(seconds);
  const worker = new Worker(script);
  const number = await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
    worker.postMessage({ salt, bits });
  });
  worker.terminate();
  return `${number}.${challenge}`;
}
