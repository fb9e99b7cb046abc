import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { filePath, items } from "../option/values.ts";

export type ProviderOptions = OptionsOf<typeof PROVIDER_OPTIONS>;

export const PROVIDER_OPTIONS = {
  clients: {
    name: "RUNEGATE_CLIENTS",
    parse: filePath,
    default: unset("`/etc/runegate/config/clients.toml`, else `config/clients.toml`, where there is one"),
    help: "A file with applications that sign people in by OpenID Connect, with Runegate as their provider.",
  },
  /** By the name of the application, the id of the client. */
  tokenRelay: {
    name: "RUNEGATE_TOKEN_RELAY",
    parse: tokenRelay,
    default: "",
    help:
      "Applications that get an access token of a client in `X-Forwarded-Access-Token`, as `route=client`, separated by commas: for " +
      "calling others in the name of whoever asks. It is renewed by Runegate. Without `routes.toml` the application is `default`.",
  },
} satisfies Declaration;

function tokenRelay(text: string): ReadonlyMap<string, string> {
  return new Map(
    items(text).map((item) => {
      const [, route, client] = /^([a-z0-9-]{1,32})=([A-Za-z0-9._-]{1,64})$/.exec(item) ?? [];
      if (route !== undefined && client !== undefined) return [route, client];
      throw new ValueError(
        `is not a route and a client: ${quote(item)}`,
        "Write route=client, such as lab=mlflow.",
      );
    }),
  );
}
