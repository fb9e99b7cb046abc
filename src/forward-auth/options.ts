import { listenAddress } from "../net/endpoint.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { choice } from "../option/values.ts";

export type ForwardAuthOptions = OptionsOf<typeof FORWARD_AUTH_OPTIONS>;

export const FORWARD_AUTH_OPTIONS = {
  checkListen: {
    name: "RUNEGATE_CHECK_LISTEN",
    parse: listenAddress,
    default: unset("unset: at the same address as all else"),
    help:
      "A second address, or `unix:/path`, that answers the checks of edges and nothing else, and alone answers them. Envoy's " +
      "`path_prefix` is answered nowhere else either.",
  },
  /** Whether what a check says of who is asking is passed over, in place of refusing it. */
  checkForged: {
    name: "RUNEGATE_CHECK_FORGED",
    parse: choice("refuse", "ignore"),
    default: "refuse",
    help:
      "What is done with a check whose request carries a header such as `Remote-User`: `ignore` where an edge in front of " +
      "the edge sets one.",
    words: ["refuse", "ignore"],
  },
} satisfies Declaration;
