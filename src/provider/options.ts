import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { filePath } from "../option/values.ts";

export type ProviderOptions = OptionsOf<typeof PROVIDER_OPTIONS>;

export const PROVIDER_OPTIONS = {
  clients: {
    name: "RUNEGATE_CLIENTS",
    parse: filePath,
    default: unset("`/etc/runegate/config/clients.toml`, else `config/clients.toml`, where there is one"),
    help: "A file with applications that sign people in by OpenID Connect, with Runegate as their provider.",
  },
} satisfies Declaration;
