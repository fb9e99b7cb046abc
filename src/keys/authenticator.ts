import type { Authenticator, Credentials } from "../access/admit.ts";
import { isPrincipal, type Principal, type Rejected } from "../identity/principal.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Audit } from "../observe/audit.ts";
import type { LimitOutcome } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import { KEY_REFUSED } from "./audit.ts";
import { presentedKey } from "./presented.ts";
import type { ApiKeys } from "./service.ts";
import type { Verified } from "./verify.ts";

/** Who the key is from that a request shows; undefined where it shows none. @throws {StoreUnavailable} */
export type KeyProof = (shown: Credentials) => Awaitable<Answer> | undefined;

type Answer = Principal | Rejected;

export function createKeyProof(
  apiKeys: Pick<ApiKeys, "verify">,
  limiter: Pick<Limiter, "failedKey" | "keyUse">,
  audit: Audit,
): KeyProof {
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

  return (shown) => {
    const presented = presentedKey(shown.headers);
    if (presented === undefined) return undefined;
    if (presented === "several") return SEVERAL;
    const verified = apiKeys.verify(presented.key, shown.client.ip);
    return verified instanceof Promise
      ? verified.then((later) => judge(later, shown))
      : judge(verified, shown);
  };
}

/**
 * Whoever shows a key is who it is from, or nobody: a cookie that comes with it is not looked at. It opens applications, and nothing of
 * Runegate's own.
 */
export function keyAuthenticator(
  proof: KeyProof,
  apiKeys: Pick<ApiKeys, "alive" | "onEnded">,
  metrics: Pick<Metrics, "counter">,
): Authenticator {
  const uses = metrics.counter("runegate_api_key_uses_total", "Requests with an API key, good or not.", [
    "route",
    "outcome",
  ]);
  const onOwnPage = (who: Answer) => (isPrincipal(who) ? INVALID : who);
  return {
    kind: "key",
    strict: true,
    authenticate(shown, route) {
      const who = proof(shown);
      if (who === undefined) return undefined;
      if (route !== undefined) {
        const counted = (answer: Answer) => {
          uses.add(1, route.name, isPrincipal(answer) ? "ok" : answer.rejected);
          return answer;
        };
        return who instanceof Promise ? who.then(counted) : counted(who);
      }
      return who instanceof Promise ? who.then(onOwnPage) : onOwnPage(who);
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
