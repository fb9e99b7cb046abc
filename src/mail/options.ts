import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { filePath, integer } from "../option/values.ts";

export type MailOptions = OptionsOf<typeof MAIL_OPTIONS>;

export const MAIL_OPTIONS = {
  /** As configured; undefined means the two default places are tried. */
  emailConfig: {
    name: "RUNEGATE_EMAIL_CONFIG",
    parse: filePath,
    default: unset("`/etc/runegate/config/email.toml`, else `config/email.toml`"),
    help: "How mail is sent and what it says. Without one, development shows mail at `/_runegate/mailbox`.",
    production: "the file is required",
    basic: true,
  },
  /** Mails an hour in all; 0 is no limit. */
  mailCeiling: {
    name: "RUNEGATE_MAIL_CEILING",
    parse: integer(0, 10_000),
    default: "600",
    help:
      "Mails an hour in all, a quarter of them for addresses that are named in `RUNEGATE_ALLOWED_EMAILS` or have signed " +
      "in before; 0 is no limit.",
  },
} satisfies Declaration;
