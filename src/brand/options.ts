import { type Declaration, unset } from "../option/option.ts";
import { brandDirectory } from "./directory.ts";

export const BRAND_OPTIONS = {
  /** Absolute path of the directory. */
  brand: {
    name: "RUNEGATE_BRAND",
    parse: brandDirectory,
    default: unset(""),
    help:
      "A directory with `logo.svg` or `logo.png` and `style.css`, served at `/_runegate/brand/`. Read at the start and " +
      "at a reload; it must hold nothing but such files, and not be writable for the service.",
  },
} satisfies Declaration;
