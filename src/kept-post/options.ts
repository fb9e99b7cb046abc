import type { Declaration, OptionsOf } from "../option/option.ts";
import { boundedSize, MIB } from "../option/values.ts";

export type KeptPostOptions = OptionsOf<typeof KEPT_POST_OPTIONS>;

export const KEPT_POST_OPTIONS = {
  /** Bytes. */
  keepPost: {
    name: "RUNEGATE_KEEP_POST",
    parse: (text) => (text === "0" ? 0 : boundedSize(16 * MIB)(text)),
    default: "1MiB",
    help:
      "Largest form that is kept, sealed, when it is sent after its session ended, and offered to be sent once its writer has " +
      "signed in again; 0 keeps none.",
  },
} satisfies Declaration;
