import { composeMail } from "../compose.ts";
import {
  byStatus,
  CHECK_SENDER,
  later,
  misconfigured,
  objectOf,
  type Provider,
  refused,
  sentAs,
} from "./provider.ts";

/** Mailgun, by its `messages.mime`: what is sent is the mail that a mail server would get. */
export const mailgun: Provider = {
  title: "Mailgun",

  async request(mail, account) {
    const { envelope, message } = await composeMail(account, mail);
    const body = new FormData();
    body.append("to", envelope.to);
    body.append("message", new Blob([Uint8Array.from(message)]), "mail.eml");
    for (const name of ["o:tracking", "o:tracking-clicks", "o:tracking-opens"]) body.append(name, "no");
    return {
      url: `${account.endpoint}/v3/${account.domain}/messages.mime`,
      headers: { Authorization: `Basic ${Buffer.from(`api:${account.apiKey}`).toString("base64")}` },
      body,
    };
  },

  read(answer) {
    const { id, message } = objectOf(answer);
    if (answer.status === 200) return sentAs(id);
    const said = typeof message === "string" ? message : "";
    switch (answer.status) {
      case 400:
        if (/\bto parameter|'to' parameter/i.test(said)) return refused(said);
        if (/\bfrom\b/i.test(said)) return misconfigured("refused the sender", said, CHECK_SENDER);
        break;
      case 402:
        return misconfigured("wants to be paid", said, "Look into the account's billing.");
      case 404:
        // With JSON it may be that what was set up a moment ago is not known everywhere.
        if (said === "") break;
        return later(
          "does not know the domain",
          said,
          "If it stays, check domain; one in the EU needs its own endpoint.",
        );
      case 420:
        return later("takes no more mail just now", said);
    }
    return byStatus(answer.status, said);
  },
};
