import { type Declaration, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { choice } from "../option/values.ts";

const KINDS = ["off", "work", "turnstile", "hcaptcha"] as const;
const WHEN = ["always", "pressure"] as const;
const ON_ERROR = ["deny", "allow"] as const;

export const CAPTCHA_OPTIONS = {
  captcha: {
    name: "RUNEGATE_CAPTCHA",
    parse: choice(...KINDS),
    default: "off",
    help:
      "What stands before asking for a mail: `work`, a moment of computing that the login page does by itself; or Cloudflare's " +
      "`turnstile` or `hcaptcha`, whose scripts the login page then loads from them.",
    words: KINDS,
  },
  captchaWhen: {
    name: "RUNEGATE_CAPTCHA_WHEN",
    parse: choice(...WHEN),
    default: "always",
    help: "`pressure`: only once half is used of the client's login requests, of the queue of those who ask, or of the mails of an hour, if each request had one.",
    words: WHEN,
  },
  captchaOnError: {
    name: "RUNEGATE_CAPTCHA_ON_ERROR",
    parse: choice(...ON_ERROR),
    default: "deny",
    help:
      "What comes of a request on which the service gives no verdict, since it cannot be reached or nothing of it came with the form: " +
      "`deny`, or `allow` one in ten minutes from each client.",
    words: ON_ERROR,
  },
  captchaSiteKey: {
    name: "RUNEGATE_CAPTCHA_SITE_KEY",
    parse: key,
    default: unset("unset"),
    help: "The public key of this site at the service.",
  },
  captchaSecret: {
    name: "RUNEGATE_CAPTCHA_SECRET",
    parse: secret,
    default: unset("unset"),
    help: "The secret that the service gave for it.",
    secret: true,
  },
} satisfies Declaration;

const KEY = /^[\w.-]{1,256}$/;

function key(text: string): string {
  if (KEY.test(text)) return text;
  throw new ValueError(`is not a site key: ${quote(text)}`, "Copy it from the service's site.");
}

/** Never quoted. */
function secret(text: string): string {
  if (KEY.test(text)) return text;
  throw new ValueError("is not a secret of such a service", "Copy it from the service's site.");
}
