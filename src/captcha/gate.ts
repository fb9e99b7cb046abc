import { type Failure, json, NOT_UNDERSTOOD } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Fields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { House } from "../house.ts";
import { limitRefusal } from "../limits/answer.ts";
import type { BeforeAsk } from "../login/before-ask.ts";
import { MINUTE } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { CAPTCHA_REFUSED } from "./audit.ts";
import { createService, SERVICES } from "./service.ts";
import { createWork } from "./work.ts";

export type CaptchaGate = BeforeAsk & {
  /** `GET /captcha`: what has to come along with a request for a mail now, for a front end of one's own and for our page. */
  offer(arrival: Arrival): Promise<Response>;
};

/** Of the limit that is used most. */
const PRESSURE = 0.5;
const RETRY_SECONDS = 60;

const MISSING: Failure = {
  status: 403,
  error: "captcha_required",
  title: NOT_UNDERSTOOD,
  message: said("captcha.missing"),
};
const FAILED: Failure = { ...MISSING, error: "captcha_failed", message: said("captcha.failed") };
const UNAVAILABLE: Failure = {
  status: 503,
  error: "captcha_unavailable",
  title: said("unavailable.title"),
  message: said("captcha.unavailable"),
  headers: [["Retry-After", String(RETRY_SECONDS)]],
};

export function createCaptchaGate(house: House): CaptchaGate {
  const { options, limiter, pressure, audit } = house;
  const { captcha: kind, captchaWhen: when, captchaOnError: onError } = options;
  const captcha =
    kind === "turnstile" || kind === "hcaptcha" ? createService(house, SERVICES[kind]) : createWork(house);

  const isNeeded = async ({ client }: Arrival, coming: 0 | 1) =>
    when === "always" || (await pressure(client, coming)) >= PRESSURE;

  function refuse({ client }: Arrival, failure: Failure, reason: string): Failure {
    audit(CAPTCHA_REFUSED, { client: client.ip, reason });
    return failure;
  }

  /** Nothing speaks for them, and nothing against: they may ask, but seldom. */
  async function seldom(arrival: Arrival, reason: string): Promise<Failure | undefined> {
    const outcome = await limiter.unproven(arrival.client);
    if (outcome.allowed) return undefined;
    const refusal = limitRefusal("IP", outcome.retryAfterMs);
    if (!isNavigation(arrival.request.headers)) return refuse(arrival, refusal, reason);
    // With script, or once the service can be reached, there is no need to wait.
    const amount = Math.ceil(outcome.retryAfterMs / MINUTE);
    const message = said("captcha.seldom", { time: { amount, unit: "minute" } });
    return refuse(arrival, { ...refusal, message }, reason);
  }

  return {
    part: async (arrival) => ((await isNeeded(arrival, 1)) ? captcha.part(arrival) : undefined),

    async offer({ client }) {
      const share = await pressure(client, 1);
      const required = when === "always" || share >= PRESSURE;
      return json({ kind, required, ...(required ? captcha.offer(client, share) : {}) });
    },

    async judge(arrival: Arrival, fields: Fields) {
      await limiter.countAsk();
      // Its own request is counted by now.
      if (!(await isNeeded(arrival, 0))) return undefined;
      const answer = fields.captcha || fields[captcha.field];
      if (!answer) {
        // Our own script does the work, and a browser without it is none the worse; a service that has a say is to have it.
        const mayPass = isNavigation(arrival.request.headers) && (kind === "work" || onError === "allow");
        return mayPass ? seldom(arrival, "missing") : refuse(arrival, MISSING, "missing");
      }
      const result = await captcha.check(answer, arrival.client);
      if (result === "good") return undefined;
      if (result !== "no_verdict") return refuse(arrival, FAILED, result.refused);
      return onError === "allow" ? seldom(arrival, "no_verdict") : refuse(arrival, UNAVAILABLE, "no_verdict");
    },
  };
}
