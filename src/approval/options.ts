import type { Declaration } from "../option/option.ts";
import { boolean } from "../option/values.ts";

export const APPROVAL_OPTIONS = {
  approval: {
    name: "RUNEGATE_APPROVAL",
    parse: boolean,
    default: "false",
    help:
      "Whether the login page of a screen without mail offers to sign in with a phone: whoever is signed in there approves it " +
      "at `/_runegate/approve`, by a QR code or a code of eight characters.",
  },
} satisfies Declaration;
