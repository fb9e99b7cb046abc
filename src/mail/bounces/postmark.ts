import { sameSecret } from "../../secret/compare.ts";
import { objectIn, parsed, type ReadNotice, textIn } from "./notice.ts";

/** Of all there are, those that say that mail is not wanted or goes nowhere. */
const FOR_GOOD = [
  "HardBounce",
  "BadEmailAddress",
  "Blocked",
  "SpamNotification",
  "ManuallyDeactivated",
  "DMARCPolicy",
];

/** Postmark's bounce webhook, which signs nothing and shows user and password of its address. `key` is `user:password`. */
export const postmark: ReadNotice = ({ headers, body }, key) => {
  const shown = /^basic +(.*)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  if (!sameSecret(Buffer.from(shown, "base64").toString(), key)) return undefined;
  const { RecordType, ID, Type, Email, BouncedAt, Description, Details } = objectIn(parsed(body));
  const isBounce = RecordType === "Bounce" && FOR_GOOD.includes(textIn(Type));
  const reason = textIn(Details) || textIn(Description);
  return {
    id: String(ID),
    at: Date.parse(textIn(BouncedAt)),
    bounces: isBounce ? [{ address: textIn(Email), reason }] : [],
  };
};
