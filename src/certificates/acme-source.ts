import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Clock, Pause, Random } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../option/values.ts";
import { AcmeProblem, type Challenges, orderCertificate } from "./acme.ts";
import type { OrderRecords } from "./acme-records.ts";
import { dnsChallenges } from "./dns-challenges.ts";
import type { DnsHook } from "./dns-hook.ts";
import { isWildcard, namesToOrder } from "./names.ts";
import type { TlsOptions } from "./options.ts";
import type { Pair } from "./pair.ts";
import { pairOf } from "./read-pair.ts";
import { renewalTime, type Window } from "./renewal.ts";
import { ASK_AGAIN_MS, askRenewalInfo, certificateId } from "./renewal-info.ts";
import { interimPair } from "./self-signed.ts";
import type { Shelf } from "./shelf.ts";
import type { CertificateSource } from "./source.ts";
import { certificateRequest } from "./x509.ts";

/**
 * Certificates that Runegate orders itself, one for each host or wildcard that its configuration names, and none for a name that
 * only a visitor said. A host whose name does not lead here yet keeps no other from its certificate.
 */

export type AcmeSourceSettings = {
  readonly options: TlsOptions;
  readonly names: readonly string[];
  readonly shelf: Shelf;
  readonly records: OrderRecords;
  /** Writes records in DNS, where names are proved by them. */
  readonly dnsHook: DnsHook | undefined;
  /** Whether an authority may come by plain http. */
  readonly answersHttp: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
};

/** Five failures an hour for a name are what Let's Encrypt allows. */
const FIRST_PAUSE = MINUTE;
const LONGEST_PAUSE = 6 * HOUR;
/** However long an authority wants to be left alone, asking once a day is no burden, and decades would be the end. */
const LONGEST_ASKED = DAY;
/** While another process orders. */
const OTHERS_PAUSE = 10 * SECOND;
/** Where the clock is wrong, a new certificate may seem to be due at once. */
const AFTER_SUCCESS = DAY;
/** The wall clock may be set, and another process may have ordered. */
const LOOK = HOUR;
const WORRY = 7 * DAY;

/** What is known of a name's certificate. `notBefore` and `askAt` are on the monotonic clock. */
type Known = {
  pair: Pair | undefined;
  /** When the authority would have it renewed, and when it is asked about that again. */
  window: Window | undefined;
  askAt: number;
  /** Where in the window, from 0 to 1. */
  readonly chance: number;
  failures: number;
  notBefore: number;
};

/** @throws {Error} in words for the operator, for a host that no certificate can be had for over http, and for a key that others can read */
export async function openAcme(settings: AcmeSourceSettings): Promise<CertificateSource> {
  const { options, shelf, records, clock, random, pause } = settings;
  let names = namesToOrder(settings.names, options);
  const accountKey = createPrivateKey(await shelf.account());
  const account = { privateKey: accountKey, publicKey: createPublicKey(accountKey) };
  const known = new Map<string, Known>();
  /** Whose turn it is whether or not it is time. */
  const wanted = new Set<string>();
  let interim = interimPair(names, { clock, random });
  let stopped = false;
  let wake = () => {};
  const chance = () => (random.bytes(1)[0] ?? 0) / 256;

  const knownOf = (name: string): Known => {
    const nothing = { pair: undefined, window: undefined, askAt: 0, failures: 0, notBefore: 0 };
    return known.getOrInsertComputed(name, () => ({ ...nothing, chance: chance() }));
  };
  const hold = (about: Known, pair: Pair) => Object.assign(about, { pair, window: undefined, askAt: 0 });
  /** Milliseconds since the Unix epoch. */
  const dueAt = ({ pair, window, chance }: Known) =>
    pair === undefined ? 0 : renewalTime(pair, window, chance);
  const isDue = (about: Known) => dueAt(about) <= clock.now();

  /** The first is shown to whoever says no name. Who comes before there is one gets a warning, and not nothing. */
  function pairs(): readonly Pair[] {
    const found = names.flatMap((name) => known.get(name)?.pair ?? []);
    return found.length === names.length ? found : [...found, interim];
  }

  /** @returns whether another is there than before. @throws as the shelf does */
  async function look(name: string): Promise<boolean> {
    const kept = await shelf.read(name);
    const about = knownOf(name);
    if (kept === undefined || !kept.names.includes(name) || kept.cert === about.pair?.cert) return false;
    // Another machine has ordered it, and one a day is enough for all of them.
    if (about.pair !== undefined && kept.from > about.pair.from)
      about.notBefore = clock.monotonic() + AFTER_SUCCESS;
    hold(about, kept);
    return true;
  }

  const authority = () => {
    const { acmeDirectory: directory, acmeCa: ca } = options;
    return { directory, ca: ca === undefined ? undefined : readFileSync(ca, "utf8") };
  };

  /** Asks the authority when it would have the certificate renewed. Without an answer, what was known holds. Never rejects. */
  async function askWindow(name: string, log: Logger): Promise<void> {
    const about = knownOf(name);
    if (about.pair === undefined || clock.monotonic() < about.askAt) return;
    about.askAt = clock.monotonic() + ASK_AGAIN_MS;
    try {
      const id = certificateId(about.pair.cert);
      const info = id === undefined ? undefined : await askRenewalInfo(authority(), id, clock);
      if (info === undefined) return;
      about.askAt = clock.monotonic() + info.askAgainMs;
      const { window, explanation } = info;
      if (explanation !== undefined && window?.start !== about.window?.start)
        log.info("the authority says why it would have a certificate renewed", { name, explanation });
      about.window = window;
    } catch (error) {
      log.debug("the authority does not say when to renew", { name, reason: messageOf(error) });
    }
  }

  /** A wildcard in DNS (RFC 8555 §7.1.3), and everything where nobody can come by http. */
  function challengesFor(name: string, log: Logger): Challenges {
    const { dnsHook, answersHttp } = settings;
    if (dnsHook === undefined || (answersHttp && !isWildcard(name))) return records.challenges;
    return dnsChallenges(name, dnsHook, { waitMs: options.acmeDnsWait, pause, log });
  }

  async function order(name: string, log: Logger): Promise<void> {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { acmeEmail: email, acmeEabId: id, acmeEabKey } = options;
    const about = knownOf(name);
    const settings = {
      ...{ ...authority(), email, account, clock, pause },
      binding: id === undefined || acmeEabKey === undefined ? undefined : { id, key: acmeEabKey },
    };
    const request = certificateRequest([name], keys);
    const before = about.pair && certificateId(about.pair.cert);
    const cert = await orderCertificate(settings, name, request, challengesFor(name, log), before);
    const key = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const pair = pairOf(cert, key);
    // It would be shown in place of the one there is, and be thought good for a day.
    if (!pair.names.includes(name)) throw new Error("the certificate that was given is for other names");
    hold(about, pair);
    await shelf.write(name, pair);
  }

  /** @returns whether there is another certificate for the name now. */
  async function attend(name: string, log: Logger): Promise<boolean> {
    const about = knownOf(name);
    const isAnother = await look(name);
    // Another one is served first: the authority may take its time.
    if (!isAnother) await askWindow(name, log);
    const isAsked = wanted.delete(name);
    if (!isAsked && (!isDue(about) || clock.monotonic() < about.notBefore)) return isAnother;
    if (!(await records.lease(name))) {
      about.notBefore = clock.monotonic() + OTHERS_PAUSE;
      return isAnother;
    }
    try {
      // Ordered by another, until a moment ago.
      if ((await look(name)) && !isAsked && !isDue(about)) return true;
      log.info("orders a certificate", { name, from: options.acmeDirectory });
      await order(name, log);
      Object.assign(about, { failures: 0, notBefore: clock.monotonic() + AFTER_SUCCESS });
      return true;
    } finally {
      await records.giveBack(name);
    }
  }

  function failed(name: string, error: unknown, log: Logger): void {
    const about = knownOf(name);
    const pause = Math.min(FIRST_PAUSE * 2 ** about.failures++, LONGEST_PAUSE) * (0.75 + chance() / 2);
    const asked = error instanceof AcmeProblem ? Math.min(error.retryAfterMs ?? 0, LONGEST_ASKED) : 0;
    about.notBefore = clock.monotonic() + Math.max(pause, asked);
    const { until } = about.pair ?? {};
    const isUrgent = until !== undefined && until - clock.now() < WORRY;
    log[isUrgent ? "error" : "warn"]("no certificate was given: it is asked for again", {
      ...{ name, reason: messageOf(error), minutes: Math.ceil(Math.max(pause, asked) / MINUTE) },
      ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    });
  }

  function untilNext(): number {
    const waits = names.map((name) => {
      if (wanted.has(name)) return 0;
      const about = knownOf(name);
      return Math.max(dueAt(about) - clock.now(), about.notBefore - clock.monotonic());
    });
    return Math.max(0, Math.min(LOOK, ...waits));
  }

  async function keepUp(use: (pairs: readonly Pair[]) => Promise<void>, log: Logger): Promise<void> {
    let isInUse = true;
    while (!stopped) {
      for (const name of names) {
        if (stopped) return;
        const isAnother = await attend(name, log).catch((error) => failed(name, error, log));
        // At once: the next name may take its time.
        if (isAnother) isInUse = false;
        if (isInUse) continue;
        isInUse = await use(pairs()).then(
          () => true,
          (error: unknown) => {
            log.error("goes on without the other certificate: it is tried again", {
              reason: messageOf(error),
            });
            return false;
          },
        );
        if (!isInUse) continue;
        const { until = 0 } = knownOf(name).pair ?? {};
        log.info("goes on with another certificate", { name, until: new Date(until).toISOString() });
      }
      await rest(untilNext());
    }
  }

  async function rest(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    timer.unref();
    wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  for (const name of names) await look(name);

  return {
    get pairs() {
      return pairs();
    },
    expiries: () => names.map((name) => [name, known.get(name)?.pair?.until]),
    challengeOf: records.challengeOf,
    async renew(next) {
      names = namesToOrder(next, options);
      interim = interimPair(names, { clock, random });
      wake();
    },
    start(use, log) {
      void keepUp(use, log);
    },
    orderNow() {
      for (const name of names) wanted.add(name);
      wake();
    },
    stop() {
      stopped = true;
      wake();
    },
  };
}
