import type { Limiter } from "../limits/limiter.ts";
import type { LimitOutcome } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import type { Registry } from "./registry.ts";

/** Limits whose refusals are counted, by the limit and not by whom it has met. */
export function countLimited(limiter: Limiter, registry: Pick<Registry, "counter">): Limiter {
  const limited = registry.counter("runegate_rate_limited_total", "Refusals because of a limit.", ["limit"]);

  function counted<Args extends readonly unknown[]>(
    limit: string,
    verb: (...args: Args) => Awaitable<LimitOutcome>,
  ): (...args: Args) => Awaitable<LimitOutcome> {
    const cell = limited.of(limit);
    const look = (outcome: LimitOutcome) => {
      if (!outcome.allowed) cell.value++;
      return outcome;
    };
    return (...args) => {
      const outcome = verb(...args);
      return outcome instanceof Promise ? outcome.then(look) : look(outcome);
    };
  }

  return {
    ...limiter,
    loginRequest: counted("login_request", limiter.loginRequest),
    mail: counted("mail", limiter.mail),
    redemption: counted("redemption", limiter.redemption),
    unproven: counted("unproven", limiter.unproven),
    handOff: counted("hand_off", limiter.handOff),
    clientCode: counted("client_code", limiter.clientCode),
    approvalCode: counted("approval_code", limiter.approvalCode),
    failedKey: counted("failed_key", limiter.failedKey),
    keyUse: counted("key_use", limiter.keyUse),
  };
}
