import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { fault } from "./fault.ts";
import { type PublicKey, verifySignature } from "./minisign.ts";

/**
 * A release as a folder: executables and packages, `SHA256SUMS` over them, and `SHA256SUMS.minisig`, whose trusted comment says
 * which version it is. The signature holds for the checksums, these for the files, and nothing in the folder is believed before.
 */
export type Release = {
  readonly version: string;
  /** Twelve digits. */
  readonly commit: string;
  /**
   * Reads a file to its end, and gives it to `take` piece by piece: what is signed is what was given, whatever the folder holds by then.
   * @throws {UpgradeFault} if it is not in the checksums, not there, or not what they say; then what was given is worth nothing.
   */
  read(name: string, take: (piece: Uint8Array) => void): void;
};

const SUMS = "SHA256SUMS";
const SIGNATURE = `${SUMS}.minisig`;
/** Both are a few hundred bytes. */
const MOST_TEXT_BYTES = 64 * 1024;
/** An executable is about 120 MB. */
const MOST_BYTES = 1024 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/** `.ci/release/sign.ts` writes it. With fewer digits than Bun.semver gives up at. */
const COMMENT = /^runegate (\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]+)?) commit ([0-9a-f]{12})$/;

/** @returns what a trusted comment says, if it is that of a release. */
export function releaseNamedBy(comment: string): Pick<Release, "version" | "commit"> | undefined {
  const [, version, commit] = COMMENT.exec(comment) ?? [];
  return version === undefined || commit === undefined ? undefined : { version, commit };
}

/** @throws {UpgradeFault} with what is wrong with it. */
export async function openRelease(folder: string, keys: readonly PublicKey[]): Promise<Release> {
  const sums = readText(folder, SUMS);
  const comment = await verifySignature(
    sums,
    Buffer.from(readText(folder, SIGNATURE)).toString(),
    keys,
  ).catch((error: unknown) => {
    throw error instanceof Error ? fault(`${SIGNATURE}: ${error.message}`) : error;
  });
  const named = releaseNamedBy(comment);
  if (named === undefined) {
    throw fault(`${SIGNATURE}: signed, but not as a release: its trusted comment names no version.`);
  }
  const digests = digestsIn(Buffer.from(sums).toString());
  return {
    ...named,
    read(name, take) {
      const expected = digests.get(name);
      if (expected === undefined) throw fault(`this release has no ${name}.`);
      const hasher = new Bun.CryptoHasher("sha256");
      readFile(folder, name, MOST_BYTES, (piece) => {
        hasher.update(piece);
        take(piece);
      });
      if (hasher.digest("hex") !== expected) throw fault(`${name} is not the file that was signed.`);
    },
  };
}

/** Lines as sha256sum(1) writes them. */
function digestsIn(text: string): ReadonlyMap<string, string> {
  const digests = new Map<string, string>();
  for (const line of text.split("\n").filter(Boolean)) {
    const [, digest = "", name = ""] = /^([0-9a-f]{64}) {2}([A-Za-z0-9][A-Za-z0-9._+~-]*)$/.exec(line) ?? [];
    if (name === "" || digests.has(name))
      throw fault(`${SUMS} is not as it should be: ${line.slice(0, 120)}`);
    digests.set(name, digest);
  }
  return digests;
}

function readText(folder: string, name: string): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [];
  readFile(folder, name, MOST_TEXT_BYTES, (piece) => pieces.push(piece.slice()));
  return new Uint8Array(Buffer.concat(pieces));
}

/** Plain files alone: a link may lead to what only root can read, and a pipe never end. */
function readFile(folder: string, name: string, mostBytes: number, take: (piece: Uint8Array) => void): void {
  const path = join(folder, name);
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (code === "ELOOP") throw fault(`${path} is a link, which is not followed.`);
    throw fault(code === "ENOENT" ? `there is no ${path}.` : `${path} cannot be read: ${code}`);
  }
  try {
    if (!fstatSync(file).isFile()) throw fault(`${path} is no plain file.`);
    const buffer = new Uint8Array(PIECE_BYTES);
    let total = 0;
    for (;;) {
      const length = readSync(file, buffer);
      if (length === 0) return;
      total += length;
      if (total > mostBytes) throw fault(`${path} is larger than anything of a release.`);
      take(buffer.subarray(0, length));
    }
  } finally {
    closeSync(file);
  }
}
