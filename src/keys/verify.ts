import type { Policy } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import type { Principal } from "../identity/principal.ts";
import { networkOf, parseIp } from "../net/ip.ts";
import { remembering } from "../remembering.ts";
import type { Awaitable } from "../store/records.ts";
import type { KeyBook, Opened } from "./book.ts";
import { parseKey } from "./format.ts";
import { fits, hashOf } from "./hash.ts";
import type { ServiceAccounts } from "./owner.ts";

/** What a key is worth at this moment. With every request, so that nothing here waits that need not. */
export type Verify = (text: string, ip: string) => Awaitable<Verified>;

export type Verified =
  | { readonly principal: Principal; readonly rate: number | null }
  /** For the audit alone; `id` where there is such a key. */
  | { readonly problem: Problem; readonly id?: string };

export type Problem = "malformed" | "unknown" | "wrong_secret" | "expired" | "disabled" | "unused" | "owner";

export type VerifySettings = {
  readonly book: KeyBook;
  readonly policy: Policy;
  readonly accounts: ServiceAccounts;
  /** Milliseconds without use that end a key; 0: none do. */
  readonly idle: number;
  readonly clock: Clock;
};

/** The last use is written at most this often. */
const NOTE_EVERY_MS = 60_000;
const MOST_NOTED = 10_000;
const MOST_READ = 10_000;

/** A key as it was shown. */
type Read = { readonly id: string; readonly hash: string };

export function createVerify(settings: VerifySettings) {
  const { book, policy, accounts, idle, clock } = settings;
  /** When the use of a key was last written by this process, on the monotonic clock. */
  const noted = new Map<string, number>();

  /** What is shown again and again is hashed once, as a session's cookie is. */
  const read = remembering((text) => {
    const parts = parseKey(text);
    return parts && { id: parts.id, hash: hashOf(parts) };
  }, MOST_READ);

  /** Who holds it, or what is wrong with it. */
  function holderOf({ seen, ours }: Opened, now: number): Principal | Problem {
    const { id, record, subject, scope } = ours;
    if (record.disabledAt !== null) return "disabled";
    if (now >= record.expiresAt) return "expired";
    if (idle > 0 && now - (seen.record.usedAt ?? record.createdAt) >= idle) return "unused";
    // Shown with each request, so never too old.
    const proven = { proof: { kind: "key", id }, provenAt: now, ...policy.standingOf(subject) } as const;
    if ("email" in subject) {
      if (!policy.allows(subject.email)) return "owner";
      return { subject, ...proven, scope };
    }
    const account = accounts.get(subject.service);
    if (account === undefined) return "owner";
    const networks = account.networks.length === 0 ? scope.networks : [...scope.networks, account.networks];
    return { subject, ...proven, scope: { ...scope, networks } };
  }

  /** Later than the answer, and once a minute, however many requests there are at once. */
  function noteUse(one: Opened, ip: string): void {
    const { id, record } = one.seen;
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    if (record.usedAt !== null && now - record.usedAt < NOTE_EVERY_MS) return;
    const last = noted.get(id);
    if (last !== undefined && monotonic - last < NOTE_EVERY_MS) return;
    if (noted.size >= MOST_NOTED) noted.clear();
    noted.set(id, monotonic);
    setTimeout(() => {
      book.note(one, { usedAt: now, usedFrom: networkNear(ip) }).catch(() => {});
    }).unref();
  }

  function judge(shown: Read, one: Opened | undefined, ip: string): Verified {
    const now = clock.now();
    const isTheirs = fits(shown.hash, one?.ours.record, now);
    if (one === undefined) return { problem: "unknown" };
    const { id, record } = one.ours;
    if (!isTheirs) return { problem: "wrong_secret", id };
    const holder = holderOf(one, now);
    if (typeof holder === "string") return { problem: holder, id };
    noteUse(one, ip);
    return { principal: holder, rate: record.rate };
  }

  const verify: Verify = (text, ip) => {
    const shown = read(text);
    if (shown === undefined) return { problem: "malformed" };
    const one = book.get(shown.id);
    return one instanceof Promise ? one.then((later) => judge(shown, later, ip)) : judge(shown, one, ip);
  };

  function alive(id: string): Awaitable<Principal | undefined> {
    const holder = (one: Opened | undefined) => {
      const who = one === undefined ? "unknown" : holderOf(one, clock.now());
      return typeof who === "string" ? undefined : who;
    };
    const one = book.get(id);
    return one instanceof Promise ? one.then(holder) : holder(one);
  }

  return { verify, alive };
}

/** Where a use came from, without saying which machine or household it was. */
function networkNear(ip: string): string {
  const bytes = parseIp(ip)?.bytes;
  return bytes === undefined ? ip : networkOf(bytes, bytes.length === 4 ? 24 : 48).text;
}
