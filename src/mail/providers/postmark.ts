import { canonicalRecipient } from "../compose.ts";
import { LOGO_FILE, LOGO_URL } from "../logo.ts";
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

/** Postmark, its email API. */
export const postmark: Provider = {
  title: "Postmark",

  request(mail, { apiKey, endpoint, from, replyTo }) {
    const headers = {
      ...QUIET,
      "Message-ID": singleLine(mail.messageId),
      // Without it, the service writes an ID of its own.
      "X-PM-KeepID": "true",
    };
    return {
      url: `${endpoint}/email`,
      headers: {
        "X-Postmark-Server-Token": apiKey,
        "Content-Type": "application/json",
        Accept: "application/json",
      },
      body: JSON.stringify({
        From: mailboxOf(from),
        To: canonicalRecipient(mail.to),
        ReplyTo: replyTo,
        Subject: singleLine(mail.subject),
        TextBody: mail.text,
        HtmlBody: mail.html,
        MessageStream: "outbound",
        Headers: Object.entries(headers).map(([Name, Value]) => ({ Name, Value })),
        ...(mail.logo === undefined
          ? {}
          : {
              Attachments: [
                {
                  ...{ Name: LOGO_FILE.filename, ContentType: LOGO_FILE.contentType, ContentID: LOGO_URL },
                  Content: mail.logo.toString("base64"),
                },
              ],
            }),
        TrackOpens: false,
        TrackLinks: "None",
      }),
    };
  },

  read(answer) {
    const { ErrorCode: code, Message: message, MessageID: id } = objectOf(answer);
    if (answer.status === 200 && code === 0) return sentAs(id);
    const said = typeof message === "string" ? `${code} ${message}` : "";
    switch (code) {
      case 10:
        return badKey(said);
      case 100:
        return later("is being maintained", said);
      case 300:
        if (/'?\bTo\b'?/.test(said)) return refused(said);
        if (/'?\bFrom\b'?/.test(said)) return misconfigured("refused the sender", said, CHECK_SENDER);
        break;
      case 400:
      case 401:
        return misconfigured("refused the sender", said, CHECK_SENDER);
      case 405:
        return misconfigured(
          "has no mails left for this account",
          said,
          "Take a larger plan, or wait for the next month.",
        );
      case 406: {
        const remedy = "It has come back before: reactivate it under Suppressions once it takes mail again.";
        return { outcome: "refused", what: "sends nothing to this address any more", said, remedy };
      }
      case 412:
      case 413:
        return misconfigured(
          "does not let this account send",
          said,
          "Ask the service to approve the account.",
        );
    }
    return answer.status === 200 ? sentAs(undefined) : byStatus(answer.status, said);
  },
};
