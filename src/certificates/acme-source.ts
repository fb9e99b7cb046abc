import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Pause, Random } from "../clock.ts";
import { parseIp } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, MINUTE } from "../option/values.ts";
import { AcmeProblem, type AcmeSettings, type Challenges, orderCertificate } from "./acme.ts";
import type { TlsOptions } from "./options.ts";
import type { Pair } from "./pair.ts";
import { pairOf } from "./read-pair.ts";
import { selfSigned } from "./self-signed.ts";
import type { CertificateSource } from "./source.ts";
import { certificateRequest } from "./x509.ts";

/** Certificates that Runegate orders itself, for the hosts that its configuration names, and for none that only a visitor said. */

export type AcmeSourceSettings = {
  readonly options: TlsOptions;
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
};

export type AcmeSource = CertificateSource & {
  /** What is answered below `/.well-known/acme-challenge/`. */
  challengeOf(token: string): string | undefined;
};

/** Renewed with a third of its life left (what authorities ask for), and a bit of chance. */
const RENEW_AT = 2 / 3;
const FIRST_PAUSE = MINUTE;
/** Five failures an hour for a name are what Let's Encrypt allows. */
const LONGEST_PAUSE = 6 * HOUR;
const LOOK = HOUR;
const WORRY = 7 * DAY;

/** @throws {Error} in words for the operator, for a host that no certificate can be had for by http, and a folder that is not to be had */
export function openAcme(settings: AcmeSourceSettings): AcmeSource {
  const { options, clock, random, pause } = settings;
  let { names } = settings;
  checkNames(names);
  const folder = options.tlsDirectory;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [certFile, keyFile] = [join(folder, "certificate.pem"), join(folder, "certificate.key")];
  const account = keyIn(join(folder, "account.key"));
  const answers = new Map<string, string>();
  const challenges: Challenges = {
    async put(token, answer) {
      answers.set(token, answer);
    },
    async remove(token) {
      answers.delete(token);
    },
  };
  let ordered = readPair();
  let pairs: readonly Pair[] = [ordered ?? interim()];
  let stopped = false;
  let wake = () => {};

  function readPair(): Pair | undefined {
    if (!existsSync(certFile) || !existsSync(keyFile)) return undefined;
    try {
      const pair = pairOf(readFileSync(certFile, "utf8"), readFileSync(keyFile, "utf8"));
      return isForAll(pair) && pair.until > clock.now() ? pair : undefined;
    } catch {
      return undefined;
    }
  }

  function isForAll(pair: Pair): boolean {
    return names.every((name) => pair.names.includes(name));
  }

  /** Until there is one that browsers know: whoever comes gets a warning, and not nothing. */
  function interim(): Pair {
    return selfSigned(names, join(folder, "interim"), { clock, random }).pair;
  }

  const settingsOf = (): AcmeSettings => ({
    directory: options.acmeDirectory,
    ca: options.acmeCa === undefined ? undefined : readFileSync(options.acmeCa, "utf8"),
    email: options.acmeEmail,
    binding:
      options.acmeEabId === undefined || options.acmeEabKey === undefined
        ? undefined
        : { id: options.acmeEabId, key: options.acmeEabKey },
    account,
    pause: (milliseconds) => pause(milliseconds),
  });

  async function order(): Promise<Pair> {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const cert = await orderCertificate(settingsOf(), names, certificateRequest(names, keys), challenges);
    const key = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const pair = pairOf(cert, key);
    // The key first: a pair that does not match is no pair, and is ordered anew.
    for (const [file, content] of [
      [keyFile, key],
      [certFile, cert],
    ] as const) {
      writeFileSync(`${file}.new`, content, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    }
    return pair;
  }

  const early = 0.03 * ((random.bytes(1)[0] ?? 0) / 256);
  const dueAt = ({ from, until }: Pair) => from + (until - from) * (RENEW_AT - early);
  const chance = () => (random.bytes(1)[0] ?? 0) / 256;

  async function keepUp(use: (pairs: readonly Pair[]) => Promise<void>, log: Logger): Promise<void> {
    let failures = 0;
    /** Not before, after a failure. */
    let again = 0;
    while (!stopped) {
      const left = Math.max(ordered === undefined ? 0 : dueAt(ordered), again) - clock.now();
      if (left > 0) {
        // The wall clock may be set meanwhile.
        await rest(Math.min(left, LOOK));
        continue;
      }
      try {
        log.info("orders a certificate", { names: names.join(" "), from: options.acmeDirectory });
        ordered = await order();
        pairs = [ordered];
        failures = 0;
        await use(pairs);
      } catch (error) {
        const wait = Math.min(FIRST_PAUSE * 2 ** failures++, LONGEST_PAUSE) * (0.75 + chance() / 2);
        const retryAfter = error instanceof AcmeProblem ? (error.retryAfterMs ?? 0) : 0;
        const isUrgent = ordered !== undefined && ordered.until - clock.now() < WORRY;
        const about = { reason: messageOf(error), names: names.join(" ") };
        log[isUrgent ? "error" : "warn"]("no certificate was given: it is tried again", about);
        again = clock.now() + Math.max(wait, retryAfter);
      }
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

  return {
    get pairs() {
      return pairs;
    },
    challengeOf: (token) => answers.get(token),
    async renew(next) {
      checkNames(next);
      names = next;
      if (ordered !== undefined && !isForAll(ordered)) ordered = undefined;
      wake();
    },
    start(use, log) {
      void keepUp(use, log);
    },
    stop() {
      stopped = true;
      wake();
    },
  };
}

function checkNames(names: readonly string[]): void {
  for (const name of names) {
    if (name.startsWith("*.") || parseIp(name) !== undefined || isLoopbackHost(name))
      throw new Error(`no certificate can be ordered for ${name}: use RUNEGATE_TLS=files for it`);
  }
}

/** The account's, which is made at the first start. */
function keyIn(file: string): AcmeSettings["account"] {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  }
  const privateKey = createPrivateKey(readFileSync(file, "utf8"));
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
