import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Keys and signatures of minisign's, made here so that they can also be made wrongly. */

export type Signer = {
  /** The second line of a `.pub` file. */
  readonly publicKey: string;
  readonly number: Buffer;
  sign(content: Uint8Array, comment: string, how?: How): string;
};
/** `Ed` signs the content itself, as `minisign -l` does. */
export type How = { readonly algorithm?: "ED" | "Ed"; readonly untrusted?: string };

export function createSigner(number: Buffer = randomBytes(8)): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const signed = (content: Uint8Array, key: KeyObject = privateKey) => sign(null, content, key);
  return {
    number,
    publicKey: Buffer.concat([Buffer.from("Ed"), number, raw]).toString("base64"),
    sign(content, comment, { algorithm = "ED", untrusted = "signature" } = {}) {
      const what = algorithm === "ED" ? createHash("blake2b512").update(content).digest() : content;
      const signature = signed(what);
      const head = Buffer.concat([Buffer.from(algorithm), number, signature]).toString("base64");
      const whole = signed(Buffer.concat([signature, Buffer.from(comment)])).toString("base64");
      return `untrusted comment: ${untrusted}\n${head}\ntrusted comment: ${comment}\n${whole}\n`;
    },
  };
}

export const COMMIT = "0123456789ab";

export type Made = {
  readonly version?: string;
  readonly files: Readonly<Record<string, string>>;
  /** What the checksums are made to say. */
  readonly sums?: (text: string) => string;
  readonly comment?: string;
  readonly how?: How;
};

/** Writes the folder of a release. */
export function writeRelease(folder: string, signer: Signer, made: Made): string {
  const { version = "9.0.0", files, sums = (text) => text, how } = made;
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const lines = Object.entries(files).map(
    ([name, content]) => `${createHash("sha256").update(content).digest("hex")}  ${name}\n`,
  );
  const text = sums(lines.join(""));
  writeFileSync(join(folder, "SHA256SUMS"), text);
  const comment = made.comment ?? `runegate ${version} commit ${COMMIT}`;
  writeFileSync(join(folder, "SHA256SUMS.minisig"), signer.sign(Buffer.from(text), comment, how));
  return folder;
}
