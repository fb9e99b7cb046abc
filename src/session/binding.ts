import type { Binding } from "../access/binding.ts";
import { networkOfClient } from "../net/ip.ts";
import type { Audit } from "../observe/audit.ts";
import type { Limits } from "../store/limits.ts";
import { SESSION_BIND_MISMATCH, SESSION_REVOKED } from "./audit.ts";
import { recognizeDevice } from "./device.ts";
import type { SessionRecord } from "./record.ts";

/**
 * Sessions that count only where they were begun, if that is configured: from the same browser, or the same network. A cookie that was
 * stolen is then worth less. Elsewhere there is no session, and back again there is; whoever shows it from elsewhere in a third
 * minute of one hour ends it.
 */
export type Bindings = {
  /** What a session is sealed with; empty where nothing asks for it. */
  of(ip: string, userAgent: string): string;
  /** Whether a session counts for whoever shows it. */
  holds(record: SessionRecord, from: From, binding: Binding): boolean;
  /** Notes that one did not, and ends it where that was once too often. @throws {StoreUnavailable} */
  stray(record: SessionRecord, from: From, binding: Binding, end: () => Promise<boolean>): Promise<undefined>;
};

/** Who shows it. */
export type From = {
  readonly client: { readonly ip: string };
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
};

const MINUTE_MS = 60_000;
/** A page makes many requests at once, and a phone that comes to another network makes some before it is noticed. */
const COUNTED = { limit: 1, windowMs: MINUTE_MS };
const FORGIVEN = { limit: 2, windowMs: 60 * MINUTE_MS };
/** Pairs of addresses and browsers whose summary is remembered; when there are more, they are worked out again. */
const MOST_SUMMARIES = 10_000;
/** Whatever comes behind is not kept with a session, and so not compared. */
export const MAX_USER_AGENT = 200;

/** @param isUsed whether anything is bound at all, anywhere. */
export function createBindings(settings: {
  readonly isUsed: boolean;
  readonly limits: Limits;
  readonly audit: Audit;
  /** Of a session that was ended. */
  readonly tellOwner: (record: SessionRecord, from: From) => Promise<void>;
}): Bindings {
  const { isUsed, limits, audit } = settings;
  const summaries = new Map<string, string>();

  /** Without blanks, so that seals are read in one way only. */
  function summaryOf(ip: string, userAgent: string): string {
    const name = userAgent.slice(0, MAX_USER_AGENT);
    const key = `${ip} ${name}`;
    const known = summaries.get(key);
    if (known !== undefined) return known;
    const { browser = "", system = "" } = recognizeDevice(name);
    const summary = `${networkOfClient(ip)}@${browser}/${system}`;
    if (summaries.size >= MOST_SUMMARIES) summaries.clear();
    summaries.set(key, summary);
    return summary;
  }

  /** What differs of what is bound. */
  function strayed(record: SessionRecord, { client, headers }: From, binding: Binding): string[] {
    // One from before this was configured has not been sealed with it: its record says where it was begun all the same.
    const begun = record.bound || summaryOf(record.ip, record.userAgent);
    const now = summaryOf(client.ip, headers["user-agent"] ?? "");
    if (begun === now) return [];
    const [network, agent] = begun.split("@");
    const [networkNow, agentNow] = now.split("@");
    return [
      ...(binding.agent && agent !== agentNow ? ["agent"] : []),
      ...(binding.network && network !== networkNow ? ["network"] : []),
    ];
  }

  return {
    of: (ip, userAgent) => (isUsed ? summaryOf(ip, userAgent) : ""),
    holds: (record, from, binding) => strayed(record, from, binding).length === 0,

    async stray(record, from, binding, end) {
      const { id, email } = record;
      if (!(await limits.hit(`bind-minute:${id}`, COUNTED)).allowed) return;
      const reason = strayed(record, from, binding).join(",");
      audit(SESSION_BIND_MISMATCH, { subject: email, client: from.client.ip, session: id, reason });
      if ((await limits.hit(`bind:${id}`, FORGIVEN)).allowed || !(await end())) return;
      audit(SESSION_REVOKED, { subject: email, session: id, actor: "bind_mismatch" });
      await settings.tellOwner(record, from);
    },
  };
}
