import type { Declaration, OptionsOf } from "../option/option.ts";
import { boolean, DAY, duration } from "../option/values.ts";

export type KeyOptions = OptionsOf<typeof KEY_OPTIONS>;

export const KEY_OPTIONS = {
  apiKeys: {
    name: "RUNEGATE_API_KEYS",
    parse: boolean,
    default: "false",
    help: "Whether programs may come with API keys: to the one application, or to routes with `api_keys = true`.",
  },
  /** Milliseconds, as is the next; 0: as long as an administrator likes. */
  apiKeyMaxTtl: {
    name: "RUNEGATE_API_KEY_MAX_TTL",
    parse: duration("s", 0, 10_000 * DAY),
    default: "366d",
    help: "How long an API key lasts at most; with 0, administrators may make some that never end.",
  },
  /** 0: never. */
  apiKeyIdle: {
    name: "RUNEGATE_API_KEY_IDLE",
    parse: duration("s", 0, 10_000 * DAY),
    default: "0",
    help: "Ends API keys that nobody has used for so long; 0 is never.",
  },
  tokenRootPaths: {
    name: "RUNEGATE_TOKEN_ROOT_PATHS",
    parse: boolean,
    default: "false",
    help:
      "Answers `/api/me/tokens`, `/api/users/…/tokens`, `/forward-auth`, `/health/live`, `/health/ready`, `/docs` and `/frontend/config` at " +
      "the root too, as rusty-valkey-forward-auth does. The application's pages of these names are then out of reach.",
  },
} satisfies Declaration;
