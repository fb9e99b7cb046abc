import { type Declaration, OFF_IN_PRODUCTION } from "../option/option.ts";
import { boolean } from "../option/values.ts";

export const DEBUG_OPTIONS = {
  debugEndpoints: {
    name: "RUNEGATE_DEBUG_ENDPOINTS",
    parse: boolean,
    default: OFF_IN_PRODUCTION,
    help: "Whether `/_runegate/debug/…` answers.",
  },
} satisfies Declaration;
