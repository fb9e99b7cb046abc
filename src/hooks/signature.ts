/** Signatures of Standard Webhooks 1.0.0 ("signature scheme"): HMAC-SHA256 of id, time and body. */

/**
 * What is sent beside a body.
 * @param secrets while they are changed there are several, and the receiver takes any.
 * @param id the same each time that this is sent.
 * @param at when it is sent, in milliseconds since the Unix epoch: receivers refuse what is older than five minutes.
 */
export function signedHeaders(secrets: readonly Uint8Array[], id: string, at: number, body: string) {
  const seconds = Math.floor(at / 1000);
  const signatures = secrets.map((secret) => {
    const mac = new Bun.CryptoHasher("sha256", secret).update(`${id}.${seconds}.${body}`).digest("base64");
    return `v1,${mac}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signatures.join(" "),
  };
}
