import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Random } from "../clock.ts";
import { DAY } from "../option/values.ts";
import type { Pair } from "./pair.ts";
import { pairOf } from "./read-pair.ts";
import { type CertificateFacts, certificateOf } from "./x509.ts";

/** For development: certificates of an authority of this machine's own, which people may choose to trust. */

const AUTHORITY = "Runegate on this machine";
const AUTHORITY_DAYS = 3650;
/** The most that browsers take (CA/Browser Forum ballot SC-081, from 2026). */
const LEAF_DAYS = 90;

/**
 * @param folder of the authority, which is made there if it is missing.
 * @returns the pair, and the file of the authority's certificate, for people to trust.
 */
export function selfSigned(
  names: readonly string[],
  folder: string,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): { readonly pair: Pair; readonly authority: string } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [certFile, keyFile] = [join(folder, "authority.pem"), join(folder, "authority.key")];
  const now = clock.now();
  if (!isGood(certFile, keyFile, now + LEAF_DAYS * DAY)) {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const facts = { subject: AUTHORITY, names: [], authority: true };
    const span = { from: now - DAY, until: now + AUTHORITY_DAYS * DAY };
    const issuer = { name: AUTHORITY, key: privateKey };
    writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(certFile, certificateOf({ ...facts, ...span }, publicKey, issuer, random), { mode: 0o644 });
  }
  const authority = { name: AUTHORITY, key: createPrivateKey(readFileSync(keyFile, "utf8")) };
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const leaf = certificateOf(leafFor(names, now), publicKey, authority, random);
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { pair: pairOf(leaf + readFileSync(certFile, "utf8"), key), authority: certFile };
}

/** What is served until there is one that browsers know, and kept nowhere. */
export function interimPair(
  names: readonly string[],
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Pair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const facts = leafFor(names, clock.now());
  const cert = certificateOf(facts, publicKey, { name: facts.subject, key: privateKey }, random);
  return pairOf(cert, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
}

const leafFor = (names: readonly string[], now: number): CertificateFacts => ({
  ...{ subject: names[0] ?? "localhost", names, authority: false },
  ...{ from: now - DAY, until: now + (LEAF_DAYS - 1) * DAY },
});

function isGood(certFile: string, keyFile: string, until: number): boolean {
  if (!existsSync(certFile) || !existsSync(keyFile)) return false;
  try {
    const certificate = new X509Certificate(readFileSync(certFile, "utf8"));
    const key = createPrivateKey(readFileSync(keyFile, "utf8"));
    return certificate.checkPrivateKey(key) && Date.parse(certificate.validTo) > until;
  } catch {
    return false;
  }
}
