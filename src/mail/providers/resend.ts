import { canonicalRecipient } from "../compose.ts";
import { LOGO_FILE } from "../logo.ts";
import { singleLine } from "../message.ts";
import {
  badKey,
  byStatus,
  CHECK_SENDER,
  later,
  mailboxOf,
  misconfigured,
  objectOf,
  type Provider,
  QUIET,
  refused,
  sentAs,
} from "./provider.ts";

/** Resend. Tracking is off there unless it was switched on for the domain; a request has no say in it. */
export const resend: Provider = {
  title: "Resend",

  request(mail, { apiKey, endpoint, from, replyTo }) {
    return {
      url: `${endpoint}/emails`,
      headers: {
        Authorization: `Bearer ${apiKey}`,
        "Content-Type": "application/json",
        // The same with every attempt, so that one whose answer was lost is not sent twice. Kept for 24 hours.
        "Idempotency-Key": singleLine(mail.messageId).slice(0, 256),
      },
      body: JSON.stringify({
        from: mailboxOf(from),
        to: [canonicalRecipient(mail.to)],
        ...(replyTo === undefined ? {} : { reply_to: replyTo }),
        subject: singleLine(mail.subject),
        text: mail.text,
        ...(mail.html === undefined ? {} : { html: mail.html }),
        ...(mail.logo === undefined
          ? {}
          : {
              attachments: [
                {
                  ...{ filename: LOGO_FILE.filename, content_type: LOGO_FILE.contentType },
                  ...{ content_id: LOGO_FILE.cid, content: mail.logo.toString("base64") },
                },
              ],
            }),
        headers: QUIET,
      }),
    };
  },

  read(answer) {
    const { id, name, message } = objectOf(answer);
    if (answer.status === 200) return sentAs(id);
    const said = typeof message === "string" ? `${name}: ${message}` : "";
    switch (name) {
      case "missing_api_key":
      case "restricted_api_key":
      case "invalid_api_key":
        return badKey(said);
      case "invalid_from_address":
        return misconfigured("refused the sender", said, CHECK_SENDER);
      case "concurrent_idempotent_requests":
        return later("is still busy with the attempt before", said);
      case "daily_quota_exceeded":
      case "monthly_quota_exceeded":
        return later(
          "has no mails left for this account",
          said,
          "Wait for the next day or month, or take a larger plan.",
        );
      case "validation_error":
      case "invalid_parameter":
      case "missing_required_field":
        // Of an account without a domain: mail goes to its owner alone.
        if (answer.status === 403 || /domain is not verified|`from`/i.test(said))
          return misconfigured("refused the sender", said, CHECK_SENDER);
        if (/`to`/.test(said)) return refused(said);
        break;
      case "invalid_idempotent_request": {
        // Its first attempt was taken, in other words: the configuration has changed since.
        return { outcome: "refused", what: "has this mail already", said, remedy: "Nothing to do." };
      }
    }
    return byStatus(answer.status, said);
  },
};
