import { sameSecret } from "../../secret/compare.ts";
import { hmac, listIn, objectIn, parsed, type ReadNotice, secondsOf, textIn } from "./notice.ts";

const SECRET_PREFIX = "whsec_";

/** Resend's webhook, signed as Svix does it: HMAC over id, time and body, with one signature for each secret there is. */
export const resend: ReadNotice = ({ headers, body }, key) => {
  const { "svix-id": id = "", "svix-timestamp": timestamp = "", "svix-signature": signatures = "" } = headers;
  const secret = Buffer.from(key.slice(SECRET_PREFIX.length), "base64");
  const expected = `v1,${hmac(secret, `${id}.${timestamp}.${body}`).toString("base64")}`;
  if (id === "" || !signatures.split(" ").some((one) => sameSecret(one, expected))) return undefined;
  const { type, data } = objectIn(parsed(body));
  const { to, bounce } = objectIn(data);
  const reason = textIn(objectIn(bounce).message);
  const bounced = type === "email.bounced" ? listIn(to) : [];
  return {
    id,
    at: secondsOf(timestamp),
    bounces: bounced.map((address) => ({ address: textIn(address), reason })),
  };
};
