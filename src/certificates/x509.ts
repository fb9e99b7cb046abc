import { type KeyObject, sign } from "node:crypto";
import type { Random } from "../clock.ts";
import { parseIp } from "../net/ip.ts";
import { bits, boolean, der, integer, octets, oid, pem, sequence, set, tagged, time, utf8 } from "./der.ts";

/** Certificates (RFC 5280) and requests for them (RFC 2986), of ECDSA keys on P-256. */

const ECDSA_WITH_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const COMMON_NAME = "2.5.4.3";
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1";
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

const named = (name: string) => sequence(set(sequence(oid(COMMON_NAME), utf8(name))));

function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value));
}

/** DNS names, and addresses. */
function alternativeNames(names: readonly string[]): Uint8Array {
  const general = names.map((name) => {
    const address = parseIp(name);
    return address === undefined ? der(0x82, Buffer.from(name)) : der(0x87, Uint8Array.from(address.bytes));
  });
  return extension(SUBJECT_ALTERNATIVE_NAME, false, sequence(...general));
}

function signed(content: Uint8Array, key: KeyObject): Uint8Array {
  return sequence(content, ECDSA_WITH_SHA256, bits(sign("sha256", content, key)));
}

const publicBytes = (key: KeyObject) => key.export({ type: "spki", format: "der" });

/** A request for a certificate for these DNS names. */
export function certificateRequest(
  names: readonly string[],
  keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
): Uint8Array {
  const content = sequence(
    integer(Buffer.from([0])),
    sequence(),
    publicBytes(keys.publicKey),
    tagged(0, sequence(oid(EXTENSION_REQUEST), set(sequence(alternativeNames(names))))),
  );
  return signed(content, keys.privateKey);
}

/** @property authority whether it may sign others. @property from, until milliseconds since the Unix epoch. */
export type CertificateFacts = {
  readonly subject: string;
  readonly names: readonly string[];
  readonly authority: boolean;
  readonly from: number;
  readonly until: number;
};

/** A certificate for `publicKey`, signed by `issuer`. @returns PEM */
export function certificateOf(
  { subject, names, authority, from, until }: CertificateFacts,
  publicKey: KeyObject,
  issuer: { readonly name: string; readonly key: KeyObject },
  random: Random,
): string {
  const serial = random.bytes(16);
  // Positive, and no longer than it has to be.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const extensions = authority
    ? [
        extension(BASIC_CONSTRAINTS, true, sequence(boolean(true))),
        // keyCertSign and cRLSign.
        extension(KEY_USAGE, true, der(0x03, Buffer.from([1, 0x06]))),
      ]
    : [
        extension(BASIC_CONSTRAINTS, true, sequence()),
        // digitalSignature.
        extension(KEY_USAGE, true, der(0x03, Buffer.from([7, 0x80]))),
        extension(EXTENDED_KEY_USAGE, false, sequence(oid(SERVER_AUTHENTICATION))),
        alternativeNames(names),
      ];
  const content = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_WITH_SHA256,
    named(issuer.name),
    sequence(time(from), time(until)),
    named(subject),
    publicBytes(publicKey),
    tagged(3, sequence(...extensions)),
  );
  return pem("CERTIFICATE", signed(content, issuer.key));
}
