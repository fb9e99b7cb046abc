import type { Authenticator, Credentials } from "../access/admit.ts";
import type { Principal, Rejected } from "../identity/principal.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { Audit } from "../observe/audit.ts";
import type { LimitOutcome } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import { KEY_REFUSED } from "./audit.ts";
import { presentedKey } from "./presented.ts";
import type { ApiKeys } from "./service.ts";
import type { Verified } from "./verify.ts";

/** Whoever shows a key is who it is from, or nobody: a cookie that comes with it is not looked at. */
export function keyAuthenticator(
  apiKeys: Pick<ApiKeys, "verify" | "alive" | "onEnded">,
  limiter: Pick<Limiter, "failedKey" | "keyUse">,
  audit: Audit,
): Authenticator {
  type Answer = Principal | Rejected;

  function judge(verified: Verified, { client }: Credentials): Awaitable<Answer> {
    if ("principal" in verified) {
      const { principal, rate } = verified;
      return rate === null ? principal : orLimited(limiter.keyUse(principal.proof.id, rate), principal);
    }
    const { problem, id } = verified;
    audit(KEY_REFUSED, { client: client.ip, reason: problem, key: id });
    // A slip of the hand is no attempt, and need not cost the store anything.
    return problem === "malformed" ? INVALID : orLimited(limiter.failedKey(client), INVALID);
  }

  return {
    kind: "key",
    strict: true,
    authenticate(shown) {
      const presented = presentedKey(shown.headers);
      if (presented === undefined) return undefined;
      if (presented === "several") return SEVERAL;
      const verified = apiKeys.verify(presented.key, shown.client.ip);
      return verified instanceof Promise
        ? verified.then((later) => judge(later, shown))
        : judge(verified, shown);
    },
    alive: apiKeys.alive,
    onEnded: apiKeys.onEnded,
  };
}

const INVALID: Rejected = { rejected: "invalid_key" };
const SEVERAL: Rejected = { rejected: "several_keys" };

function orLimited<T>(outcome: Awaitable<LimitOutcome>, otherwise: T): Awaitable<T | Rejected> {
  const limited = (one: LimitOutcome): T | Rejected =>
    one.allowed ? otherwise : { rejected: "rate_limited", retryAfterMs: one.retryAfterMs };
  return outcome instanceof Promise ? outcome.then(limited) : limited(outcome);
}
