import { type Declaration, TRUE_IN_PRODUCTION } from "../option/option.ts";
import { boolean } from "../option/values.ts";

export const DEVICE_OPTIONS = {
  newDeviceMail: {
    name: "RUNEGATE_NEW_DEVICE_MAIL",
    parse: boolean,
    default: TRUE_IN_PRODUCTION,
    help:
      "Whether people get a mail when somebody signs in with their address in a browser that has not done so before, with a " +
      "link that ends all of its sign-ins; at most three a day. And when a passkey is added.",
  },
} satisfies Declaration;
