import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { signedHeaders } from "../../src/hooks/signature.ts";

/** Signatures, against the standard's own example and against another implementation. */

const SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY = '{"test": 2432232314}';
const SECONDS = 1614265330;
const secretOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));

/** By OpenSSL. */
function macOf(secret: Uint8Array, text: string): string {
  const key = `hexkey:${Buffer.from(secret).toString("hex")}`;
  const args = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", key, "-binary"];
  const { status, stdout, stderr } = spawnSync("openssl", args, { input: text });
  if (status !== 0) throw new Error(stderr.toString());
  return stdout.toString("base64");
}

describe("Standard Webhooks", () => {
  test("the example of the standard has the signature that it should, and OpenSSL's (I1)", () => {
    const secret = secretOf(SECRET);
    const expected = macOf(secret, `${ID}.${SECONDS}.${BODY}`);
    expect(expected).toBe("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    expect(signedHeaders([secret], ID, SECONDS * 1000 + 999, BODY)).toEqual({
      "webhook-id": ID,
      "webhook-timestamp": String(SECONDS),
      "webhook-signature": `v1,${expected}`,
    });
  });

  test("another secret has another signature (I1)", () => {
    const other = Buffer.alloc(24, "x");
    const { "webhook-signature": signature } = signedHeaders([other], ID, SECONDS * 1000, BODY);
    expect(signature).toBe(`v1,${macOf(other, `${ID}.${SECONDS}.${BODY}`)}`);
    expect(signature).not.toContain("g0hM9SsE");
  });

  test.each([
    ["the id", "msg_other", SECONDS, BODY],
    ["the time", ID, SECONDS + 1, BODY],
    ["the body", ID, SECONDS, `${BODY} `],
  ])("%s is signed with the rest", (_, id, seconds, body) => {
    const headers = signedHeaders([secretOf(SECRET)], id, seconds * 1000, body);
    expect(headers["webhook-signature"]).not.toContain("g0hM9SsE");
  });

  test("two secrets, two signatures, in their order (I10)", () => {
    const [one, other] = [secretOf(SECRET), new Uint8Array(Buffer.alloc(64, "x"))];
    const text = `${ID}.${SECONDS}.${BODY}`;
    const headers = signedHeaders([one, other], ID, SECONDS * 1000, BODY);
    expect(headers["webhook-signature"]).toBe(`v1,${macOf(one, text)} v1,${macOf(other, text)}`);
  });
});
