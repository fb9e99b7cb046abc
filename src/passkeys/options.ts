import type { Declaration } from "../option/option.ts";
import { boolean } from "../option/values.ts";

export const PASSKEY_OPTIONS = {
  passkeys: {
    name: "RUNEGATE_PASSKEYS",
    parse: boolean,
    default: "false",
    help:
      "Whether whoever has signed in by mail may add passkeys at `/_runegate/passkeys`, and sign in with them from then " +
      "on. They are made for the host name of `RUNEGATE_BASE_URL`: under another one, none of them works.",
  },
} satisfies Declaration;
