import { origin } from "../edge/options.ts";
import type { Declaration, OptionsOf } from "../option/option.ts";
import { list } from "../option/values.ts";

export type ApiOptions = OptionsOf<typeof API_OPTIONS>;

export const API_OPTIONS = {
  apiOrigins: {
    name: "RUNEGATE_API_ORIGINS",
    parse: (text: string): ReadonlySet<string> => new Set(list(origin)(text)),
    default: "",
    help:
      "Origins of other sites whose pages may use the management API with a bearer of their own, separated by commas; with " +
      "cookies, none may.",
  },
} satisfies Declaration;
