import { canonicalRecipient } from "../compose.ts";
import { LOGO_FILE } from "../logo.ts";
import { singleLine } from "../message.ts";
import {
  badKey,
  byStatus,
  CHECK_SENDER,
  later,
  misconfigured,
  objectOf,
  type Provider,
  QUIET,
  refused,
  sentAs,
} from "./provider.ts";

/** Twilio SendGrid, Mail Send of its v3 API. */
export const sendgrid: Provider = {
  title: "SendGrid",

  request(mail, { apiKey, endpoint, from, replyTo }) {
    const { name, address } = from;
    const off = { enable: false };
    return {
      url: `${endpoint}/v3/mail/send`,
      headers: {
        Authorization: `Bearer ${apiKey}`,
        "Content-Type": "application/json",
        Accept: "application/json",
      },
      body: JSON.stringify({
        personalizations: [{ to: [{ email: canonicalRecipient(mail.to) }] }],
        from: name === undefined ? { email: address } : { email: address, name },
        ...(replyTo === undefined ? {} : { reply_to: { email: replyTo } }),
        subject: singleLine(mail.subject),
        content: [
          { type: "text/plain", value: mail.text },
          ...(mail.html === undefined ? [] : [{ type: "text/html", value: mail.html }]),
        ],
        ...(mail.logo === undefined
          ? {}
          : {
              attachments: [
                {
                  ...{ filename: LOGO_FILE.filename, type: LOGO_FILE.contentType, disposition: "inline" },
                  ...{ content_id: LOGO_FILE.cid, content: mail.logo.toString("base64") },
                },
              ],
            }),
        headers: { ...QUIET, "Message-ID": singleLine(mail.messageId) },
        // A link that is led through somebody else's server is broken by some, and read there.
        tracking_settings: {
          click_tracking: { enable: false, enable_text: false },
          open_tracking: off,
          subscription_tracking: off,
          ganalytics: off,
        },
      }),
    };
  },

  read(answer) {
    if (answer.status === 202) return sentAs(answer.headers.get("x-message-id") ?? "none given");
    const { errors } = objectOf(answer);
    const [{ message = "", field = "" } = {}] = (Array.isArray(errors) ? errors : []) as {
      message?: unknown;
      field?: unknown;
    }[];
    const said = String(message);
    switch (answer.status) {
      case 400:
        if (/^personalizations\b.*\bto\b/.test(String(field))) return refused(said);
        if (/^from\b/.test(String(field))) return misconfigured("refused the sender", said, CHECK_SENDER);
        break;
      case 401:
        if (/credits exceeded/i.test(said))
          return later(
            "has no mails left for this account",
            said,
            "Wait for the next day or month, or take a larger plan.",
          );
        return badKey(said);
      case 403:
        if (/temporarily blocked/i.test(said))
          return later("takes no mail of this account for a while", said);
        if (/sender identity|from address/i.test(said))
          return misconfigured("refused the sender", said, CHECK_SENDER);
    }
    return byStatus(answer.status, said);
  },
};
