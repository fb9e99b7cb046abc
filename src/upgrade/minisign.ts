import { fault } from "./fault.ts";

/**
 * Signatures as minisign makes them (https://jedisct1.github.io/minisign/, "Signature format"): Ed25519 (RFC 8032) over the
 * BLAKE2b-512 digest (RFC 7693) of a file, and once more over that signature and a comment, which so can be trusted.
 */

/** Of eight bytes, to find the key that a signature says it was made with. It proves nothing. */
type KeyNumber = string;
export type PublicKey = { readonly number: KeyNumber; readonly key: Uint8Array<ArrayBuffer> };

const ED = "Ed";
/** What is signed is the digest: the one way that is taken. `Ed` signs the file itself, as minisign did before 0.6. */
const PREHASHED = "ED";
const NUMBER_BYTES = 8;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const HEAD_BYTES = 2 + NUMBER_BYTES;

const UNTRUSTED = "untrusted comment: ";
const TRUSTED = "trusted comment: ";

/** What minisign writes into a `.pub` file's second line begins so: "Ed" in Base64. */
export function looksLikeKey(text: string): boolean {
  return /^RW[A-Za-z0-9+/]{54}$/.test(text);
}

/**
 * @param text a `.pub` file of minisign's, or several keys, one a line. Comments and empty lines are passed over.
 * @throws {UpgradeFault} for a line that is none of these.
 */
export function readPublicKeys(text: string): PublicKey[] {
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith(UNTRUSTED))
    .map(readKey);
}

function readKey(line: string): PublicKey {
  const bytes = fromBase64(line, HEAD_BYTES + KEY_BYTES);
  if (bytes === undefined || ascii(bytes.subarray(0, 2)) !== ED) {
    throw fault(`${JSON.stringify(line.slice(0, 80))} is no public key of minisign's.`);
  }
  return { number: numberIn(bytes), key: bytes.slice(HEAD_BYTES) };
}

/**
 * @param signature the text of a `.minisig` file.
 * @returns the trusted comment.
 * @throws {UpgradeFault} with the reason, if one of `keys` has not signed exactly this content and comment.
 */
export async function verifySignature(
  content: Uint8Array<ArrayBuffer>,
  signature: string,
  keys: readonly PublicKey[],
): Promise<string> {
  const { algorithm, number, signed, comment, whole } = readSignature(signature);
  // Before the key is looked for: what minisign makes with -l says so, whoever made it.
  if (algorithm !== PREHASHED) {
    throw fault(
      `the signature is of the kind ${JSON.stringify(algorithm)}, and only prehashed ones are taken.`,
    );
  }
  // A number is not secret, and not unique where somebody wants it not to be.
  const candidates = keys.filter((key) => key.number === number);
  if (candidates.length === 0)
    throw fault("the signature was made with another key than those trusted here.");
  const digest = new Uint8Array(new Bun.CryptoHasher("blake2b512").update(content).digest());
  for (const { key } of candidates) {
    if (!(await isSigned(key, signed, digest))) continue;
    if (await isSigned(key, whole, Buffer.concat([signed, Buffer.from(comment)]))) return comment;
    throw fault("the trusted comment is not the one that was signed.");
  }
  throw fault("the signature does not fit: what was signed is something else.");
}

type Signature = {
  readonly algorithm: string;
  readonly number: KeyNumber;
  readonly signed: Uint8Array<ArrayBuffer>;
  readonly comment: string;
  /** Over `signed` and `comment`. */
  readonly whole: Uint8Array<ArrayBuffer>;
};

function readSignature(text: string): Signature {
  const [first = "", second = "", third = "", fourth = "", ...rest] = text.split("\n");
  const bytes = fromBase64(second, HEAD_BYTES + SIGNATURE_BYTES);
  const whole = fromBase64(fourth, SIGNATURE_BYTES);
  const isWhole = first.startsWith(UNTRUSTED) && third.startsWith(TRUSTED) && rest.join("") === "";
  if (!isWhole || bytes === undefined || whole === undefined) {
    throw fault("the signature is damaged, or none of minisign's.");
  }
  return {
    algorithm: ascii(bytes.subarray(0, 2)),
    number: numberIn(bytes),
    signed: bytes.slice(HEAD_BYTES),
    comment: third.slice(TRUSTED.length),
    whole,
  };
}

/** Strictly: one text for each value, of the length it must have. */
function fromBase64(text: string, length: number): Uint8Array<ArrayBuffer> | undefined {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  return bytes.length === length && Buffer.from(bytes).toString("base64") === text ? bytes : undefined;
}

function ascii(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function numberIn(bytes: Uint8Array): KeyNumber {
  return Buffer.from(bytes.subarray(2, HEAD_BYTES)).toString("hex");
}

async function isSigned(
  key: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  content: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", imported, signature, content);
}
