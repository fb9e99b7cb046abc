import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPublicKeys } from "../../src/upgrade/minisign.ts";
import { openRelease } from "../../src/upgrade/release.ts";
import { createSigner, type Made, writeRelease } from "./signer.ts";

const signer = createSigner();
const ONE = "runegate-linux-x64";
const TWO = "runegate-linux-arm64";
const FILES = { [ONE]: "one", [TWO]: "two" };

function release(made: Partial<Made> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "runegate-release-"));
  writeRelease(folder, signer, { files: FILES, ...made });
  return {
    path: (name: string) => join(folder, name),
    /** @returns what is read of a file, or why nothing is. */
    async read(name = ONE, during: (piece: number) => void = () => {}): Promise<string> {
      try {
        const opened = await openRelease(folder, readPublicKeys(signer.publicKey));
        const pieces: Buffer[] = [];
        opened.read(name, (piece) => {
          pieces.push(Buffer.from(piece));
          during(pieces.length);
        });
        return Buffer.concat(pieces).toString();
      } catch (error) {
        return `refused: ${error instanceof Error ? error.message.replaceAll(folder, "DIR") : error}`;
      }
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

describe("a release", () => {
  test("gives the files that it was signed with, and its version and commit", async () => {
    using made = release({ version: "1.2.3-rc.1" });
    expect(await made.read()).toBe("one");
    const opened = await openRelease(made.path(""), readPublicKeys(signer.publicKey));
    expect([opened.version, opened.commit]).toEqual(["1.2.3-rc.1", "0123456789ab"]);
  });

  type Attack = (made: ReturnType<typeof release>) => void;
  test.each<[string, Attack, string]>([
    [
      "altered file",
      (made) => writeFileSync(made.path(ONE), "onE"),
      `${ONE} is not the file that was signed.`,
    ],
    ["shortened file", (made) => truncateSync(made.path(ONE), 2), `${ONE} is not the file that was signed.`],
    [
      "swapped names",
      (made) => copyFileSync(made.path(TWO), made.path(ONE)),
      `${ONE} is not the file that was signed.`,
    ],
    ["missing file", (made) => rmSync(made.path(ONE)), `there is no DIR/${ONE}.`],
    [
      "link to the right file",
      (made) => {
        renameSync(made.path(ONE), made.path("elsewhere"));
        symlinkSync("elsewhere", made.path(ONE));
      },
      `DIR/${ONE} is a link, which is not followed.`,
    ],
    [
      "link for checksums",
      (made) => {
        renameSync(made.path("SHA256SUMS"), made.path("elsewhere"));
        symlinkSync("elsewhere", made.path("SHA256SUMS"));
      },
      "DIR/SHA256SUMS is a link, which is not followed.",
    ],
    [
      "pipe, which would never end",
      (made) => {
        rmSync(made.path(ONE));
        Bun.spawnSync(["mkfifo", made.path(ONE)]);
      },
      `DIR/${ONE} is no plain file.`,
    ],
    [
      "checksums of another file",
      (made) => {
        const text = readFileSync(made.path("SHA256SUMS"), "utf8");
        writeFileSync(made.path("SHA256SUMS"), text.replaceAll("0", "1"));
      },
      "SHA256SUMS.minisig: the signature does not fit: what was signed is something else.",
    ],
    [
      "no signature",
      (made) => rmSync(made.path("SHA256SUMS.minisig")),
      "there is no DIR/SHA256SUMS.minisig.",
    ],
    [
      "endless checksums",
      (made) => writeFileSync(made.path("SHA256SUMS"), "0".repeat(100_000)),
      "DIR/SHA256SUMS is larger than anything of a release.",
    ],
  ])("is refused: %s", async (_, attack, reason) => {
    using made = release();
    attack(made);
    expect(await made.read()).toBe(`refused: ${reason}`);
  });

  test.each<[string, Partial<Made>, string]>([
    [
      "something else by the same key",
      { comment: "timestamp:1700000000\tfile:notes.txt\thashed" },
      "SHA256SUMS.minisig: signed, but not as a release: its trusted comment names no version.",
    ],
    [
      "a version that is none",
      { comment: "runegate 9 commit 0123456789ab" },
      "SHA256SUMS.minisig: signed, but not as a release: its trusted comment names no version.",
    ],
    [
      "a version too large to be compared",
      { comment: "runegate 99999999999999999999.0.0 commit 0123456789ab" },
      "SHA256SUMS.minisig: signed, but not as a release: its trusted comment names no version.",
    ],
    [
      "a name that leads elsewhere",
      { sums: (text) => text.replace(ONE, "../etc/passwd") },
      expect.stringContaining("SHA256SUMS is not as it should be") as unknown as string,
    ],
    [
      "a name given twice",
      { sums: (text) => text + text },
      expect.stringContaining("SHA256SUMS is not as it should be") as unknown as string,
    ],
    ["no executable for this machine", { files: { [TWO]: "two" } }, `this release has no ${ONE}.`],
    [
      "not prehashed",
      { how: { algorithm: "Ed" } },
      'SHA256SUMS.minisig: the signature is of the kind "Ed", and only prehashed ones are taken.',
    ],
  ])("is refused although the key is right: %s", async (_, how, reason) => {
    using made = release(how);
    const refused = await made.read();
    expect(refused).toStartWith("refused: ");
    expect(refused.slice("refused: ".length)).toEqual(reason);
  });

  const LARGE = "x".repeat(1_500_000);
  test("a file that is overwritten while it is read is refused: what is held against the signature is what was given", async () => {
    using made = release({ files: { [ONE]: LARGE } });
    const overwrite = (piece: number) => piece === 1 && writeFileSync(made.path(ONE), "y".repeat(1_500_000));
    expect(await made.read(ONE, overwrite)).toBe(`refused: ${ONE} is not the file that was signed.`);
  });
  test("a file that is exchanged while it is read is read to its end", async () => {
    using made = release({ files: { [ONE]: LARGE } });
    const exchange = (piece: number) => {
      if (piece !== 1) return;
      writeFileSync(made.path("other"), "y");
      renameSync(made.path("other"), made.path(ONE));
    };
    expect(await made.read(ONE, exchange)).toBe(LARGE);
  });
});
