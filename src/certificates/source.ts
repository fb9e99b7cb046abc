import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, SECOND } from "../option/values.ts";
import { type Expiry, expiriesOf } from "./expiry.ts";
import { readPairs } from "./files.ts";
import type { TlsOptions } from "./options.ts";
import type { Pair } from "./pair.ts";
import { selfSigned } from "./self-signed.ts";

/** Where the certificates of this installation come from, and when others take their place. */
export type CertificateSource = {
  readonly pairs: readonly Pair[];
  /** Of each host that is answered, or of each name that somebody keeps a certificate for. */
  expiries(): readonly Expiry[];
  /**
   * Looks now whether others are to be had, for these hosts.
   * @throws {Error} with what is wrong; the ones there are stay
   */
  renew(names: readonly string[]): Promise<void>;
  /** @param use is called with others, once there are. */
  start(use: (pairs: readonly Pair[]) => Promise<void>, log: Logger): void;
  /** Orders all of them now, where they are ordered at all. */
  orderNow?(): void;
  stop(): void;
  /** What is answered below `/.well-known/acme-challenge/`. */
  challengeOf?(token: string): Promise<string | undefined>;
};

export type SourceSettings = {
  readonly options: TlsOptions;
  /** Hosts that are answered, without ports. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
};

/** Links are exchanged and folders replaced in more ways than can be watched; reading a few files is nothing. */
const LOOK_MS = 10 * SECOND;
const WARN_MS = 7 * DAY;
/** Of those of its own. */
const RENEW_MS = 30 * DAY;

/** @returns undefined where Runegate speaks no TLS. @throws {Error} with what is wrong, in words for the operator */
export function openCertificates(settings: SourceSettings): CertificateSource | undefined {
  const { options, clock } = settings;
  if (options.tls === "off" || options.tls === "acme") return undefined;
  const read = options.tls === "files" ? filesOf(settings) : selfSignedOf(settings);
  let { names } = settings;
  let pairs = read(clock.now(), names);
  let use: (pairs: readonly Pair[]) => Promise<void> = async () => {};
  let timer: ReturnType<typeof setInterval> | undefined;
  let problem = "";

  async function renew(): Promise<void> {
    const found = read(clock.now(), names, pairs);
    if (sameAs(pairs, found)) return;
    pairs = found;
    await use(found);
  }

  return {
    get pairs() {
      return pairs;
    },
    expiries: () => expiriesOf(pairs),
    renew(next) {
      names = next;
      return renew();
    },
    start(useThem, log) {
      use = async (found) => {
        await useThem(found);
        log.info("goes on with other certificates", { names: namesIn(found), until: untilIn(found) });
      };
      log.info("speaks TLS", { names: namesIn(pairs), until: untilIn(pairs) });
      let warned = "";
      timer = setInterval(() => {
        renew().then(
          () => {
            problem = "";
          },
          (error: unknown) => {
            const reason = messageOf(error);
            if (reason !== problem)
              log.error("certificates cannot be read: the ones before stay", { reason });
            problem = reason;
          },
        );
        const ending = pairs.filter(({ until }) => until - clock.now() < WARN_MS);
        const about = namesIn(ending);
        if (about !== "" && about !== warned)
          log.warn("a certificate ends soon", { names: about, until: untilIn(ending) });
        warned = about;
      }, LOOK_MS);
      timer.unref();
    },
    stop: () => clearInterval(timer),
  };
}

type Read = (now: number, names: readonly string[], before?: readonly Pair[]) => readonly Pair[];

function filesOf({ options: { tlsCert, tlsKey } }: SourceSettings): Read {
  // A rule of the configuration sees to that.
  const cert = tlsCert ?? "";
  const place = { cert, key: tlsKey ?? cert };
  return () => readPairs(place);
}

function selfSignedOf({ options, clock, random }: SourceSettings): Read {
  return (now, names, before) => {
    const [known] = before ?? [];
    const isForAll = names.every((name) => known?.names.includes(name));
    if (known !== undefined && isForAll && known.until - now > RENEW_MS) return [known];
    return [selfSigned(names, options.tlsDirectory, { clock, random }).pair];
  };
}

function sameAs(some: readonly Pair[], others: readonly Pair[]): boolean {
  return (
    some.length === others.length &&
    some.every((one, i) => one.cert === others[i]?.cert && one.key === others[i]?.key)
  );
}

const namesIn = (pairs: readonly Pair[]) => pairs.flatMap(({ names }) => names).join(" ");
const untilIn = (pairs: readonly Pair[]) =>
  new Date(Math.min(...pairs.map(({ until }) => until))).toISOString();
