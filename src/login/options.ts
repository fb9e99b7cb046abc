import type { Declaration, OptionsOf } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, choice, DAY, duration, SECOND } from "../option/values.ts";
import { CODE_KINDS } from "./code.ts";
import { safeNext } from "./next.ts";

export type LoginOptions = OptionsOf<typeof LOGIN_OPTIONS>;

const LINK_CONFIRM = ["auto", "always", "never"] as const;

export const LOGIN_OPTIONS = {
  /** Milliseconds. */
  magicLinkExpiry: {
    name: "RUNEGATE_MAGIC_LINK_EXPIRY",
    parse: duration("m", SECOND, 7 * DAY),
    default: "15",
    help: "How long a login link and its code are good; a plain number is minutes.",
  },
  linkConfirm: {
    name: "RUNEGATE_LINK_CONFIRM",
    parse: choice(...LINK_CONFIRM),
    default: "auto",
    help:
      "When opening a link asks for a click first: `auto` in any browser but the one that asked, `always`, " +
      "`never` (mail scanners then spend links).",
    words: LINK_CONFIRM,
  },
  codeKind: {
    name: "RUNEGATE_CODE",
    parse: choice(...CODE_KINDS),
    default: "digits",
    help: "What the code in a mail is made of: eight `digits`, or eight `letters` and digits that nobody mistakes for each other.",
    words: CODE_KINDS,
  },
  multiUseLinks: {
    name: "RUNEGATE_MULTI_USE_LINKS",
    parse: boolean,
    default: "false",
    help: "Whether `runegate link --uses` makes login links that are good more than once. Off, those that were made are not good either.",
  },
  landingPath: {
    name: "RUNEGATE_LANDING_PATH",
    parse: landingPath,
    default: "/",
    help: "Where a login that began nowhere in particular ends.",
  },
} satisfies Declaration;

/** A path, with a query if need be, that may also be the `next` of a login. */
export function landingPath(text: string): string {
  const path = safeNext(text, "", () => false);
  if (path !== "") return path;
  throw new ValueError(
    `is not a plain path to the application on this host: ${quote(text)}`,
    "Write a path that starts with a single slash, such as /dashboard.",
  );
}
