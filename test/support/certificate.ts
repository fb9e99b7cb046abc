import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/**
 * A self-signed certificate (RFC 5280) made on the spot, so that tests need neither a tool on the machine nor a key in
 * the repository, and can have one that is expired or for another name.
 */
export function makeCertificate(
  facts: {
    names?: readonly string[];
    addresses?: readonly string[];
    notBefore?: Date;
    notAfter?: Date;
    /** In place of an elliptic curve. */
    rsa?: true;
  } = {},
): { key: string; cert: string } {
  const names = facts.names ?? ["localhost"];
  const addresses = facts.addresses ?? ["127.0.0.1"];
  const day = 24 * 60 * 60 * 1000;
  const { publicKey, privateKey } = facts.rsa
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = facts.rsa
    ? sequence(oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b), der(0x05)) // sha256WithRSAEncryption
    : sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)); // ecdsa-with-SHA256
  const name = sequence(set(sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from("Runegate test")))));
  const alternatives = sequence(
    ...names.map((dns) => der(0x82, Buffer.from(dns))),
    ...addresses.map((ip) => der(0x87, Buffer.from(ip.split(".").map(Number)))),
  );
  const tbs = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    sequence(
      time(facts.notBefore ?? new Date(Date.now() - day)),
      time(facts.notAfter ?? new Date(Date.now() + day)),
    ),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(oid(0x55, 0x1d, 0x11), der(0x04, alternatives)))),
  );
  const signature = sign("sha256", tbs, privateKey);
  const cert = sequence(tbs, algorithm, der(0x03, Buffer.from([0]), signature));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines(cert.toString("base64"))}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const length =
    content.length < 0x80
      ? [content.length]
      : content.length < 0x100
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** RFC 7468 §2: 64 characters a line. */
const lines = (base64: string) => (base64.match(/.{1,64}/g) ?? []).join("\n");
const sequence = (...parts: readonly Buffer[]) => der(0x30, ...parts);
const set = (...parts: readonly Buffer[]) => der(0x31, ...parts);
const oid = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes));

/** GeneralizedTime, whole seconds. */
const time = (date: Date) => der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, "")));
