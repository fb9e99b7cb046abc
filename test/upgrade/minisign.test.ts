import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { looksLikeKey, readPublicKeys, verifySignature } from "../../src/upgrade/minisign.ts";
import { needs } from "../support/needs.ts";
import { createSigner } from "./signer.ts";

const CONTENT = new TextEncoder().encode("0123  runegate-linux-x64\n");
const COMMENT = "runegate 9.0.0 commit 0123456789ab";
const signer = createSigner();
const GOOD = signer.sign(CONTENT, COMMENT);

/** The outcome: the trusted comment, or the reason. */
async function verified(signature: string, content = CONTENT, keys = signer.publicKey): Promise<string> {
  return verifySignature(content, signature, readPublicKeys(keys)).catch((error: Error) => error.message);
}

const lines = (change: (all: string[]) => unknown) => {
  const all = GOOD.split("\n");
  change(all);
  return all.join("\n");
};
/** The same Base64 with one bit of its bytes turned over. */
const flipped = (text: string, at: number) => {
  const bytes = Buffer.from(text, "base64");
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString("base64");
};

describe("a signature", () => {
  test("is good for its content, with its comment", async () => {
    expect(await verified(GOOD)).toBe(COMMENT);
  });
  test("may have another untrusted comment, which says nothing", async () => {
    expect(await verified(lines((all) => all.splice(0, 1, "untrusted comment: anything")))).toBe(COMMENT);
  });
  test("is good when several keys are trusted, also two of one number", async () => {
    const twin = createSigner(signer.number);
    const keys = [twin.publicKey, createSigner().publicKey, signer.publicKey].join("\n");
    expect(await verified(GOOD, CONTENT, keys)).toBe(COMMENT);
  });

  const OTHER_CONTENT = new TextEncoder().encode("0124  runegate-linux-x64\n");
  const NOT_FITTING = "the signature does not fit: what was signed is something else.";
  const DAMAGED = "the signature is damaged, or none of minisign's.";
  const OTHER_KEY = "the signature was made with another key than those trusted here.";
  const OTHER_COMMENT = "the trusted comment is not the one that was signed.";
  const twin = createSigner(signer.number);
  test.each<[string, string, string]>([
    ["altered in its signature", lines((all) => all.splice(1, 1, flipped(all[1] ?? "", 20))), NOT_FITTING],
    ["with the number of another key", lines((all) => all.splice(1, 1, flipped(all[1] ?? "", 5))), OTHER_KEY],
    ["of another content", signer.sign(OTHER_CONTENT, COMMENT), NOT_FITTING],
    ["by another key", createSigner().sign(CONTENT, COMMENT), OTHER_KEY],
    ["by another key of the same number", twin.sign(CONTENT, COMMENT), NOT_FITTING],
    ["with another trusted comment", GOOD.replace("9.0.0", "9.0.1"), OTHER_COMMENT],
    ["with a trusted comment that goes on", GOOD.replace(COMMENT, `${COMMENT} `), OTHER_COMMENT],
    ["with a trusted comment in CRLF", GOOD.replaceAll("\n", "\r\n"), DAMAGED],
    [
      "with the comment of another signature by the key",
      lines((all) => all.splice(2, 2, ...signer.sign(OTHER_CONTENT, "older").split("\n").slice(2, 4))),
      OTHER_COMMENT,
    ],
    [
      "altered in its second signature",
      lines((all) => all.splice(3, 1, flipped(all[3] ?? "", 0))),
      OTHER_COMMENT,
    ],
    [
      "not prehashed (Ed)",
      signer.sign(CONTENT, COMMENT, { algorithm: "Ed" }),
      'the signature is of the kind "Ed", and only prehashed ones are taken.',
    ],
    [
      "not prehashed, of the digest of the content, and said to be (ED for Ed)",
      signer
        .sign(CONTENT, COMMENT, { algorithm: "Ed" })
        .replace(/^(.*\n)(.*)/, (_, first, text) => first + renamed(text)),
      NOT_FITTING,
    ],
    ["without its last line", lines((all) => all.splice(3)), DAMAGED],
    ["without its trusted comment", lines((all) => all.splice(2)), DAMAGED],
    ["cut within a line", GOOD.slice(0, 80), DAMAGED],
    ["with more behind it", `${GOOD}trusted comment: more\n`, DAMAGED],
    ["with a longer signature", lines((all) => all.splice(1, 1, `${all[1]}AAAA`)), DAMAGED],
    ["with a blank in Base64", lines((all) => all.splice(1, 1, `${all[1]} `)), DAMAGED],
    ["that is empty", "", DAMAGED],
    ["that is the key", signer.publicKey, DAMAGED],
  ])("%s is refused", async (_, signature, reason) => {
    expect(signature).not.toBe(GOOD);
    expect(await verified(signature)).toBe(reason);
  });
  test("is refused for altered content, and for none", async () => {
    expect(await verified(GOOD, OTHER_CONTENT)).toBe(NOT_FITTING);
    expect(await verified(GOOD, new Uint8Array())).toBe(NOT_FITTING);
  });
  test("is refused where no key is trusted", async () => {
    expect(await verified(GOOD, CONTENT, "# none yet\n")).toBe(OTHER_KEY);
  });
  test("of every single bit, none can be turned over in signatures or trusted comment", async () => {
    const [first = "", second = "", third = "", fourth = ""] = GOOD.split("\n");
    const wrong: string[] = [];
    for (let at = 0; at < 74; at++) wrong.push(`${first}\n${flipped(second, at)}\n${third}\n${fourth}\n`);
    for (let at = 0; at < 64; at++) wrong.push(`${first}\n${second}\n${third}\n${flipped(fourth, at)}\n`);
    for (let at = 0; at < COMMENT.length; at++) {
      const letters = Buffer.from(third);
      const index = "trusted comment: ".length + at;
      letters[index] = (letters[index] ?? 0) ^ 1;
      wrong.push(`${first}\n${second}\n${letters}\n${fourth}\n`);
    }
    const outcomes = await Promise.all(wrong.map((signature) => verified(signature)));
    expect(outcomes.filter((outcome) => outcome.startsWith("runegate"))).toEqual([]);
  });
});

function renamed(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  bytes.write("ED");
  return bytes.toString("base64");
}

describe("public keys", () => {
  test("are read from a file of minisign's, and from several lines with comments", () => {
    const other = createSigner();
    const text = `# ours\nuntrusted comment: minisign public key 1\n${signer.publicKey}\n\n${other.publicKey}\n`;
    expect(readPublicKeys(text).map(({ number }) => number)).toEqual([
      signer.number.toString("hex"),
      other.number.toString("hex"),
    ]);
    expect([looksLikeKey(signer.publicKey), looksLikeKey("/root/key.pub")]).toEqual([true, false]);
  });
  test.each([
    ["cut", signer.publicKey.slice(0, -4)],
    ["of another kind", `AA${signer.publicKey.slice(2)}`],
    ["no Base64", signer.publicKey.replace(/.$/, "*")],
    ["a signature", GOOD.split("\n")[1] ?? ""],
  ])("are refused when they are not whole: %s", (_, text) => {
    expect(() => readPublicKeys(text)).toThrow("is no public key of minisign's");
  });
});

const minisign = needs("minisign");

describe.skipIf(minisign === undefined)("minisign itself", () => {
  function inFolder<T>(work: (folder: string, run: (...args: string[]) => number) => T): T {
    const folder = mkdtempSync(join(tmpdir(), "runegate-minisign-"));
    try {
      return work(
        folder,
        (...args) => Bun.spawnSync([minisign ?? "", ...args], { cwd: folder, stdin: "ignore" }).exitCode,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test("signs what is taken here, and with -l what is not", async () => {
    const [modern, legacy, key] = inFolder((folder, run) => {
      expect(run("-G", "-W", "-p", "key.pub", "-s", "key")).toBe(0);
      writeFileSync(join(folder, "f"), CONTENT);
      expect(run("-S", "-s", "key", "-m", "f", "-t", COMMENT)).toBe(0);
      const read = (name: string) => readFileSync(join(folder, name), "utf8");
      const modern = read("f.minisig");
      expect(run("-S", "-l", "-s", "key", "-m", "f", "-t", COMMENT)).toBe(0);
      return [modern, read("f.minisig"), read("key.pub")] as const;
    });
    expect(await verified(modern, CONTENT, key)).toBe(COMMENT);
    expect(await verified(legacy, CONTENT, key)).toContain("only prehashed ones are taken");
  });
  test("takes what is signed here, so that the signatures made wrongly above are wrong in one thing alone", () => {
    inFolder((folder, run) => {
      writeFileSync(join(folder, "f"), CONTENT);
      const verify = (signature: string) => {
        writeFileSync(join(folder, "f.minisig"), signature);
        return run("-V", "-H", "-m", "f", "-P", signer.publicKey);
      };
      expect(verify(GOOD)).toBe(0);
      expect(verify(GOOD.replace("9.0.0", "9.0.1"))).not.toBe(0);
    });
  });
});
