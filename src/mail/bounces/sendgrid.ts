import { nodeCrypto } from "../../secret/node-crypto.ts";
import {
  digest,
  isSignedBy,
  listIn,
  objectIn,
  parsed,
  type ReadNotice,
  secondsOf,
  textIn,
} from "./notice.ts";

/** SendGrid's signed event webhook: ECDSA over time and body. `key` is its public key, SPKI in base64. */
export const sendgrid: ReadNotice = ({ headers, body }, key) => {
  const signature = headers["x-twilio-email-event-webhook-signature"] ?? "";
  const timestamp = headers["x-twilio-email-event-webhook-timestamp"] ?? "";
  const signed = timestamp + body;
  const publicKey = publicKeyOf(key);
  if (publicKey === undefined || !isSignedBy(publicKey, "sha256", signed, signature)) return undefined;
  const events = listIn(parsed(body)).map(objectIn);
  // `dropped`: not tried, since it has bounced before.
  const bounced = events.filter(({ event }) => event === "bounce" || event === "dropped");
  return {
    id: digest(signed),
    at: secondsOf(timestamp),
    bounces: bounced.map(({ email, reason }) => ({ address: textIn(email), reason: textIn(reason) })),
  };
};

/** @returns undefined for what is no public key. */
function publicKeyOf(key: string) {
  try {
    return nodeCrypto().createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}
