import { sameSecret } from "../../secret/compare.ts";
import { hmac, objectIn, parsed, type ReadNotice, secondsOf, textIn } from "./notice.ts";

/**
 * Mailgun's webhook. It signs time and token and not what it tells, so whoever has seen one could tell anything by it: a token
 * must be taken once only, whatever comes with it.
 */
export const mailgun: ReadNotice = ({ body }, key) => {
  const post = objectIn(parsed(body));
  const { timestamp, token, signature } = objectIn(post.signature);
  const at = typeof timestamp === "number" ? String(timestamp) : textIn(timestamp);
  if (textIn(token) === "") return undefined;
  if (!sameSecret(hmac(key, `${at}${textIn(token)}`).toString("hex"), textIn(signature))) return undefined;
  const data = objectIn(post["event-data"]);
  const { message, description } = objectIn(data["delivery-status"]);
  const isBounce = data.event === "failed" && data.severity === "permanent";
  const reason = textIn(message) || textIn(description);
  return {
    id: textIn(token),
    at: secondsOf(at),
    bounces: isBounce ? [{ address: textIn(data.recipient), reason }] : [],
  };
};
