import { afterAll, describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { createSmtpMailer } from "../../src/mail/smtp.ts";
import { emailConfig, startSmtp } from "../support/smtp.ts";
import { mailOf } from "./support.ts";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const DKIM = {
  domain: "runegate.test",
  selector: "s1",
  key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
};

const server = await startSmtp();
afterAll(() => server.stop());

describe("DKIM", () => {
  test("what the server gets is signed, and whoever verifies it finds it so", async () => {
    await createSmtpMailer(emailConfig(server.port, { dkim: DKIM }), { ca: server.ca }).send(
      mailOf({ text: "a \n\n\n" }),
    );
    const raw = server.messages.at(-1)?.raw ?? "";
    const { tags, isGood } = verdictOn(raw, publicKey);
    expect(tags).toMatchObject({ d: "runegate.test", s: "s1", a: "rsa-sha256" });
    const signedHeaders = (tags.h ?? "").toLowerCase().split(":");
    for (const name of ["from", "to", "subject", "date", "message-id"]) expect(signedHeaders).toContain(name);
    expect(isGood).toBe(true);
    expect(verdictOn(raw.replace("Your sign-in link", "Your sign-in Link"), publicKey).isGood).toBe(false);
    expect(verdictOn(raw.replace("Hello", "Hallo"), publicKey).isGood).toBe(false);
  });

  test("without a key, nothing is", async () => {
    await createSmtpMailer(emailConfig(server.port), { ca: server.ca }).send(mailOf());
    expect(server.messages.at(-1)?.raw).not.toContain("DKIM-Signature");
  });
});

/** As a receiver does it (RFC 6376 §3.4 and §3.7), for relaxed/relaxed. */
function verdictOn(raw: string, key: KeyObject): { tags: Record<string, string>; isGood: boolean } {
  const end = raw.indexOf("\r\n\r\n");
  const headers = raw.slice(0, end).split(/\r\n(?![ \t])/);
  const fieldOf = (name: string) => headers.find((line) => line.toLowerCase().startsWith(`${name}:`)) ?? "";
  const relaxed = (line: string) => {
    const colon = line.indexOf(":");
    const value = line
      .slice(colon + 1)
      .replace(/\r\n/g, "")
      .replace(/[ \t]+/g, " ");
    return `${line.slice(0, colon).trim().toLowerCase()}:${value.trim()}`;
  };
  const signature = fieldOf("dkim-signature");
  const tags = Object.fromEntries(
    signature
      .slice(signature.indexOf(":") + 1)
      .replace(/\s+/g, "")
      .split(";")
      .filter((tag) => tag !== "")
      .map((tag) => [tag.slice(0, tag.indexOf("=")), tag.slice(tag.indexOf("=") + 1)]),
  );
  const body = raw
    .slice(end + 4)
    .replace(/[ \t]+(?=\r\n)/g, "")
    .replace(/[ \t]+/g, " ")
    .replace(/(\r\n)+$/, "");
  const bodyHash = createHash("sha256").update(`${body}\r\n`).digest("base64");
  const signed = (tags.h ?? "").split(":").map((name) => `${relaxed(fieldOf(name.toLowerCase()))}\r\n`);
  const text = signed.join("") + relaxed(signature.replace(/([;\s]b=)[^;]*/, "$1"));
  const isGood =
    tags.bh === bodyHash && verify("sha256", Buffer.from(text), key, Buffer.from(tags.b ?? "", "base64"));
  return { tags, isGood };
}
