import type { Clock, Random } from "../clock.ts";
import { type Address, parseAddress } from "../identity/address.ts";
import { NO_GROUPS } from "../identity/principal.ts";
import type { Records } from "../store/records.ts";
import { type Bindings, MAX_USER_AGENT } from "./binding.ts";
import { type Holds, OnHold } from "./hold.ts";
import type { SessionOptions } from "./options.ts";
import { groupsKept, type KeptSession, keptOf, type SessionRecord } from "./record.ts";
import type { Seals } from "./seal.ts";

/** How a session begins. */

export type NewSession = {
  readonly email: Address;
  readonly ip: string;
  readonly userAgent: string;
  readonly method?: SessionRecord["method"];
  /** When they showed who they are, in milliseconds since the Unix epoch, where that is not now; 0 where nobody knows. */
  readonly provenAt?: number | undefined;
  /** Vouched for by whoever they signed in with, for as long as the session lasts. */
  readonly groups?: ReadonlySet<string>;
  /** The same of hooks, which let nobody in who may not be. */
  readonly added?: ReadonlySet<string>;
  /** Milliseconds until it ends at the latest. */
  readonly maxAge?: number | undefined;
  /** False: for as long as the browser is open, and {@link BRIEF_MS} at most. */
  readonly keep?: boolean;
};

/** 256 bits. */
const COOKIE_BYTES = 32;
/** Nobody leaves a borrowed browser open for longer, or so whoever signs in there hopes. */
const BRIEF_MS = 12 * 60 * 60_000;

export function createStart(settings: {
  readonly sessionTtl: SessionOptions["sessionTtl"];
  readonly records: Records<KeptSession>;
  readonly seals: Seals;
  readonly holds: Holds;
  readonly bindings: Pick<Bindings, "of">;
  readonly idOf: (cookie: string) => string;
  readonly clock: Clock;
  readonly random: Random;
}) {
  const { sessionTtl, records, seals, holds, clock, random } = settings;

  return async ({
    email,
    ip,
    userAgent,
    method = "link",
    provenAt,
    groups = NO_GROUPS,
    added = NO_GROUPS,
    maxAge = sessionTtl,
    keep = true,
  }: NewSession): Promise<{ readonly cookie: string; readonly record: SessionRecord }> => {
    const cookie = Buffer.from(random.bytes(COOKIE_BYTES)).toString("base64url");
    const now = clock.now();
    const record = seals.seal({
      id: settings.idOf(cookie),
      email: parseAddress(email),
      createdAt: now,
      provenAt: Math.min(provenAt ?? now, now),
      expiresAt: now + Math.min(sessionTtl, maxAge, keep ? sessionTtl : BRIEF_MS),
      seenAt: now,
      rested: 0,
      method,
      groups: groupsKept(groups, added),
      brief: !keep,
      bound: settings.bindings.of(ip, userAgent),
      ip,
      userAgent: userAgent.slice(0, MAX_USER_AGENT),
    });
    if (!(await records.add(record.id, keptOf(record), record.expiresAt, "grouped")))
      throw new Error("a session's id was there before");
    // Afterwards: whoever puts an address on hold ends its sessions then, this one too if it is there.
    const until = await holds.until(email);
    if (until === undefined) return { cookie, record };
    await records.take(record.id);
    throw new OnHold(until - now);
  };
}
