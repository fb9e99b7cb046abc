import serviceSource from "../../static/captcha-service.html" with { type: "text" };
import type { Sources } from "../edge/page-policy.ts";
import type { House } from "../house.ts";
import { boundedText } from "../net/bounded-text.ts";
import { messageOf } from "../observe/message-of.ts";
import { KIB, SECOND } from "../option/values.ts";
import { assetPath } from "../pages/assets.ts";
import { template } from "../pages/template.ts";
import type { Captcha, CaptchaResult } from "./captcha.ts";

/** A service that tells people from robots, as its documentation describes it. */
type Service = {
  readonly name: string;
  readonly api: string;
  readonly verify: string;
  /** Of its element, by which its script finds it. */
  readonly className: string;
  readonly size: string;
  readonly field: string;
  readonly sources: Sources;
  /** It says what an answer was given for, which must be this. */
  readonly action?: string;
  /** In place of a host where it does not say. Who may use the site key is then all there is. */
  readonly noHost?: string;
  /** Takes the site key along, and refuses an answer that was given for another. */
  readonly sendsSiteKey?: true;
};

const HCAPTCHA = ["https://hcaptcha.com", "https://*.hcaptcha.com"];
const TURNSTILE = ["https://challenges.cloudflare.com"];

export const SERVICES = {
  /** developers.cloudflare.com/turnstile: server-side validation, widget configurations, Content Security Policy. */
  turnstile: {
    name: "Turnstile",
    api: "https://challenges.cloudflare.com/turnstile/v0/api.js",
    verify: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    className: "cf-turnstile",
    size: "flexible",
    field: "cf-turnstile-response",
    sources: { "script-src": TURNSTILE, "frame-src": TURNSTILE },
    action: "sign_in",
  },
  /** docs.hcaptcha.com: developer guide. */
  hcaptcha: {
    name: "hCaptcha",
    api: "https://js.hcaptcha.com/1/api.js?recaptchacompat=off",
    verify: "https://api.hcaptcha.com/siteverify",
    className: "h-captcha",
    size: "normal",
    field: "h-captcha-response",
    sources: {
      "script-src": HCAPTCHA,
      "frame-src": HCAPTCHA,
      "style-src": HCAPTCHA,
      "connect-src": HCAPTCHA,
    },
    noHost: "not-provided",
    sendsSiteKey: true,
  },
} as const satisfies Record<string, Service>;

const TIMEOUT_MS = 5 * SECOND;
const MOST_BYTES = 16 * KIB;
/** Characters of an answer: both have far shorter ones. */
const MOST_ANSWER = 8 * KIB;
/** Of ours at the service. Beyond that nobody waits for it. */
const MOST_AT_ONCE = 100;

/** What is wrong with the request itself, for the operator to mend: nobody gets by until it is. */
const OURS = ["missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "bad-request"];
/** What the services say of an answer. Anything else they may say is not for the log as it is. */
const KNOWN = [
  ...OURS,
  ...["missing-input-response", "invalid-input-response", "timeout-or-duplicate"],
  ...["expired-input-response", "already-seen-response", "invalid-or-already-seen-response"],
  ...["not-using-dummy-passcode", "missing-remoteip", "invalid-remoteip"],
];

const part = template(serviceSource, [
  ...(["className", "siteKey", "action", "size", "script", "api"] as const),
]);

export function createService(
  house: Pick<House, "options" | "routes" | "fetch" | "loggers">,
  service: Service,
): Captcha {
  const { captchaSiteKey: siteKey = "", captchaSecret: secret = "" } = house.options;
  const { name, api, verify, field, className, size, sources, action, noHost } = service;
  const host = new URL(house.routes.home.origin).hostname;
  const log = house.loggers("login");
  const script = assetPath("captcha.js");
  let underWay = 0;

  /** @throws where the service cannot be asked, or what it answers is no verdict. */
  async function ask(answer: string): Promise<Verdict> {
    // Nothing of the visitor is sent along: what they showed the service themselves is all it learns.
    const body = new URLSearchParams({ secret, response: answer });
    if (service.sendsSiteKey) body.set("sitekey", siteKey);
    const response = await house.fetch(verify, {
      method: "POST",
      body,
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const said = verdictIn(await boundedText(response, MOST_BYTES));
    if (said === undefined || (said.success && response.status !== 200)) {
      throw new Error(`it answers ${response.status}, and no verdict`);
    }
    if (said.codes.includes("internal-error")) throw new Error("it has an internal error");
    return said;
  }

  function judge({ success, codes, hostname, action: given }: Verdict): CaptchaResult {
    if (!success) {
      const code = codes.find((one) => KNOWN.includes(one)) ?? "refused";
      if (OURS.includes(code)) log.error(`${name} does not take our requests`, { reason: code });
      return { refused: code };
    }
    if (hostname !== host && (noHost === undefined || hostname !== noHost)) return { refused: "other_site" };
    return action === undefined || given === action ? "good" : { refused: "other_action" };
  }

  return {
    field,
    part: (arrival) => {
      const { language } = arrival.lookOf(arrival);
      return { html: part(language, { className, siteKey, action, size, script, api }), sources };
    },
    offer: () => ({ site_key: siteKey, ...(action === undefined ? {} : { action }) }),

    async check(answer) {
      if (answer.length > MOST_ANSWER) return { refused: "malformed" };
      if (underWay >= MOST_AT_ONCE) return "no_verdict";
      underWay++;
      try {
        return judge(await ask(answer));
      } catch (error) {
        log.warn(`${name} cannot be asked`, { reason: messageOf(error) });
        return "no_verdict";
      } finally {
        underWay--;
      }
    },
  };
}

type Verdict = {
  readonly success: boolean;
  readonly codes: readonly string[];
  readonly hostname: unknown;
  readonly action: unknown;
};

function verdictIn(text: string): Verdict | undefined {
  const {
    success,
    hostname,
    action,
    "error-codes": codes,
  } = Object(JSON.parse(text)) as Record<string, unknown>;
  if (typeof success !== "boolean") return undefined;
  return { success, codes: Array.isArray(codes) ? codes.map(String) : [], hostname, action };
}
