import { sesKeyOf } from "../backend-settings.ts";
import { composeMail } from "../compose.ts";
import {
  badKey,
  byStatus,
  CHECK_SENDER,
  later,
  misconfigured,
  objectOf,
  type Provider,
  refused,
  sentAs,
} from "./provider.ts";

/**
 * Amazon SES, `SendEmail` of its API v2 with the mail as it stands, signed by AWS Signature Version 4. It rewrites links only
 * for a configuration set that says so, and none is named.
 */
export const ses: Provider = {
  title: "Amazon SES",

  async request(mail, account, now) {
    const { AwsV4Signer } = await import("aws4fetch");
    const { envelope, message } = await composeMail(account, mail);
    const [accessKeyId = "", secretAccessKey = "", sessionToken] = sesKeyOf(account.apiKey) ?? [];
    const body = JSON.stringify({
      FromEmailAddress: envelope.from,
      Destination: { ToAddresses: [envelope.to] },
      Content: { Raw: { Data: message.toString("base64") } },
    });
    const signed = await new AwsV4Signer({
      method: "POST",
      url: `${account.endpoint}/v2/email/outbound-emails`,
      headers: { "Content-Type": "application/json" },
      body,
      ...{ accessKeyId, secretAccessKey, service: "ses", region: account.region },
      ...(sessionToken === undefined ? {} : { sessionToken }),
      datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    }).sign();
    return { url: signed.url.href, headers: signed.headers.toJSON(), body };
  },

  read(answer) {
    const { MessageId: id, message, Message = message, __type } = objectOf(answer);
    if (answer.status === 200) return sentAs(id);
    // `MessageRejected`, or with a namespace before it or the address of a description behind it.
    const type = (answer.headers.get("x-amzn-errortype") ?? String(__type ?? "")).replace(/:.*$|^.*#/g, "");
    const words = typeof Message === "string" ? Message : "";
    const said = [type, words].filter((part) => part !== "").join(": ");
    switch (type) {
      case "TooManyRequestsException":
      case "ThrottlingException":
      case "Throttling":
      case "LimitExceededException":
        return later("takes no more mail just now", said, "If it stays, ask AWS for a higher quota.");
      case "SendingPausedException":
        return later("has paused this account", said, "Look into the account's reputation dashboard.");
      case "AccountSuspendedException":
        return misconfigured("has closed this account for sending", said, "Ask AWS.");
      case "MailFromDomainNotVerifiedException":
        return misconfigured("refused the sender", said, CHECK_SENDER);
      case "MessageRejected":
        // A new account, in the "sandbox", may write to verified addresses only.
        if (/not verified/i.test(words))
          return misconfigured(
            "refused an address that is not verified",
            said,
            `${CHECK_SENDER} A new account has to leave the sandbox too.`,
          );
        return refused(said, "refused the mail");
      case "InvalidSignatureException":
      case "SignatureDoesNotMatch":
        return misconfigured(
          "does not accept the signature",
          said,
          "Check the secret access key, region, and this machine's clock.",
        );
      case "AccessDeniedException":
      case "UnrecognizedClientException":
      case "MissingAuthenticationTokenException":
      case "IncompleteSignatureException":
      case "ExpiredTokenException":
        return badKey(said);
      case "BadRequestException":
      case "InvalidParameterValue":
        if (
          /\brecipient|\bdestination|\bto address|illegal address|missing final '@domain'|\bdomain contains|\blocal address/i.test(
            words,
          )
        )
          return refused(said);
        break;
    }
    return byStatus(answer.status, said);
  },
};
