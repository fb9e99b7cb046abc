import { folded, namesIdentity } from "../access/identity-headers.ts";
import type { Clock, Random } from "../clock.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Described } from "../edge/described.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Kind, RecordStore } from "../store/records.ts";

/**
 * Requests that an operator sends to the public address, to see what arrives here of what they sent. Each is known by a nonce that is
 * good for a minute. It lets nothing pass; of what arrives no value is kept but the path and who the request seems to be from.
 */

/**
 * What they call themselves, before the nonce. No edge takes `User-Agent` out, not of a check either; what begins with
 * `X-Runegate-` many do.
 */
export const PROBE_AGENT = "Runegate-Check/";

/** One request as it arrived: itself, or an edge's question about it. */
export type ArrivedProbe = {
  /** Which kind of check it is; null for the request itself. */
  readonly edge: string | null;
  /** Why nothing can be made of the check. */
  readonly problem: string | null;
  readonly proto: string;
  readonly host: string;
  /** With the query. */
  readonly path: string;
  readonly trusted: boolean;
  /** False where headers tell of a proxy that the address of the client is perhaps the address of. */
  readonly certain: boolean;
  readonly client: string;
  /** How many addresses its way has, as far as it is told: one for the peer, and one for each in `X-Forwarded-For`. */
  readonly hops: number;
  /** Names of the headers that the nonce has come in. */
  readonly carried: string[];
  /** Names of the headers that say who is asking. */
  readonly identity: string[];
  readonly upgrade: string | null;
};

export type ProbeRequest = Pick<Arrival, "headers" | "target" | "client">;

export type Probes = {
  /** @returns a new nonce. @throws {StoreUnavailable} */
  begin(): Promise<string>;
  /** What has arrived with it, in order; undefined for one that is not known, or not any more. @throws {StoreUnavailable} */
  look(nonce: string): Promise<ArrivedProbe[] | undefined>;
  /**
   * Notes what has arrived, if it is one. Never rejects.
   * @param check what it asks about, where it is a check.
   */
  note(asked: ProbeRequest, check: CheckOf | undefined): Promise<void>;
};

export type CheckOf = { readonly edge: string; readonly about: Described | string };

/** So cheap that every request may be asked. */
export function isProbe(headers: Readonly<Record<string, string>>): boolean {
  return headers["user-agent"]?.startsWith(PROBE_AGENT) === true;
}

export const PROBES: Kind<{ readonly arrived: ArrivedProbe[] }> = { name: "probe", capacity: 256 };
const GOOD_FOR_MS = 60_000;
const NONCE_BYTES = 16;
const NONCE = /^[0-9a-f]{32}$/;
/** nginx asks twice. */
const MOST_ARRIVALS = 4;
const MOST_NAMES = 16;
const LONGEST = 500;

export function createProbes(settings: {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Probes {
  const { clock, random, log } = settings;
  const records = settings.store.records(PROBES);

  return {
    async begin() {
      const nonce = Buffer.from(random.bytes(NONCE_BYTES)).toString("hex");
      await records.add(nonce, { arrived: [] }, clock.now() + GOOD_FOR_MS, "light");
      return nonce;
    },

    look: async (nonce) => (await records.get(nonce))?.record.arrived,

    async note(asked, check) {
      const nonce = asked.headers["user-agent"]?.slice(PROBE_AGENT.length) ?? "";
      if (!NONCE.test(nonce)) return;
      try {
        const seen = await records.get(nonce);
        if (seen === undefined || seen.record.arrived.length >= MOST_ARRIVALS) return;
        const arrived = [...seen.record.arrived, describe(asked, check, nonce)];
        // Those of one nonce come one after the other.
        await records.replace(seen, { arrived }, "light");
      } catch (error) {
        log.debug("a probe could not be noted", { reason: messageOf(error) });
      }
    },
  };
}

function describe({ headers, target, client }: ProbeRequest, check: CheckOf | undefined, nonce: string) {
  const about = typeof check?.about === "string" ? undefined : check?.about;
  const { path, search } = about?.target ?? target;
  const names = Object.keys(headers);
  const short = (text: string) => text.slice(0, LONGEST);
  const those = (which: (name: string) => boolean) => names.filter(which).slice(0, MOST_NAMES).map(short);
  return {
    edge: check?.edge ?? null,
    problem: typeof check?.about === "string" ? check.about : null,
    proto: about?.proto ?? client.proto,
    host: short(about?.host ?? client.host),
    path: short(path + search),
    trusted: client.peerTrusted,
    certain: client.ipIsCertain,
    client: short(client.ip),
    hops: client.forwardedFor.split(",").length,
    carried: those((name) => folded(name) !== "user-agent" && headers[name]?.includes(nonce) === true),
    identity: those((name) => namesIdentity(name, { identityNames: new Map() })),
    upgrade: headers.upgrade === undefined ? null : short(headers.upgrade.toLowerCase()),
  };
}
