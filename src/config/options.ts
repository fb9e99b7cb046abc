import { ACCESS_OPTIONS } from "../access/options.ts";
import { ADMIN_OPTIONS } from "../admin/options.ts";
import { API_OPTIONS } from "../api/options.ts";
import { APPROVAL_OPTIONS } from "../approval/options.ts";
import { AUDIT_OPTIONS } from "../audit/options.ts";
import { BEARER_OPTIONS } from "../bearer/options.ts";
import { BRAND_OPTIONS } from "../brand/options.ts";
import { CAPTCHA_OPTIONS } from "../captcha/options.ts";
import { TLS_OPTIONS } from "../certificates/options.ts";
import { DEBUG_OPTIONS } from "../debug/options.ts";
import { DEVICE_OPTIONS } from "../devices/options.ts";
import { EDGE_OPTIONS } from "../edge/options.ts";
import { FORWARD_AUTH_OPTIONS } from "../forward-auth/options.ts";
import { IDENTITY_TOKEN_OPTIONS } from "../identity-token/options.ts";
import { IMPERSONATION_OPTIONS } from "../impersonation/options.ts";
import { KEPT_POST_OPTIONS } from "../kept-post/options.ts";
import { KEY_OPTIONS } from "../keys/options.ts";
import { LANGUAGE_OPTIONS } from "../language/options.ts";
import { LIMITS_OPTIONS } from "../limits/options.ts";
import { LOGIN_OPTIONS } from "../login/options.ts";
import { MAIL_OPTIONS } from "../mail/options.ts";
import { METRICS_OPTIONS } from "../metrics/options.ts";
import { LOG_OPTIONS } from "../observe/options.ts";
import { type Declaration, isConfidential, type Option, type OptionsOf } from "../option/option.ts";
import { PASSKEY_OPTIONS } from "../passkeys/options.ts";
import { PROVIDER_OPTIONS } from "../provider/options.ts";
import { PROXY_OPTIONS } from "../proxy/options.ts";
import { SECRET_OPTIONS } from "../secret/options.ts";
import { SESSION_OPTIONS } from "../session/options.ts";
import { SINK_OPTIONS } from "../sinks/options.ts";
import { STORE_OPTIONS } from "../store/options.ts";
import { TUNNEL_OPTIONS } from "../tunnel/options.ts";
import { CONTROL_OPTIONS } from "./control-options.ts";
import { PROCESS_OPTIONS } from "./process-options.ts";

/**
 * The options of all rooms, in the order they are read, shown and documented; a default may depend on options further up.
 * Loading, flags, `runegate check`, `runegate config` and the reference all read these declarations; rules that look at more
 * than one option are in `rules.ts`.
 */
export const ROOMS = {
  TLS: TLS_OPTIONS,
  "The process": PROCESS_OPTIONS,
  "The public side": EDGE_OPTIONS,
  Secrets: SECRET_OPTIONS,
  "Who may sign in": ACCESS_OPTIONS,
  Login: LOGIN_OPTIONS,
  "Robots that ask for mails": CAPTCHA_OPTIONS,
  "Forms of those who have to sign in": KEPT_POST_OPTIONS,
  Passkeys: PASSKEY_OPTIONS,
  "Approval on another device": APPROVAL_OPTIONS,
  Sessions: SESSION_OPTIONS,
  Devices: DEVICE_OPTIONS,
  "API keys": KEY_OPTIONS,
  Limits: LIMITS_OPTIONS,
  Mail: MAIL_OPTIONS,
  "The application": { ...PROXY_OPTIONS, ...TUNNEL_OPTIONS },
  "Identity tokens": IDENTITY_TOKEN_OPTIONS,
  "Applications that sign in with Runegate": PROVIDER_OPTIONS,
  "Other proxies that ask": FORWARD_AUTH_OPTIONS,
  Administrators: { ...ADMIN_OPTIONS, ...IMPERSONATION_OPTIONS },
  "Programs that manage it": { ...API_OPTIONS, ...BEARER_OPTIONS },
  "What is kept": { ...STORE_OPTIONS, ...AUDIT_OPTIONS },
  "What users see": { ...BRAND_OPTIONS, ...LANGUAGE_OPTIONS },
  Log: { ...LOG_OPTIONS, ...SINK_OPTIONS },
  Metrics: METRICS_OPTIONS,
  Debugging: DEBUG_OPTIONS,
  "The command line": CONTROL_OPTIONS,
} satisfies Readonly<Record<string, Declaration>>;

type All<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer Both) => void
  ? Both
  : never;
type Declared = All<(typeof ROOMS)[keyof typeof ROOMS]>;

/** What the program is configured to do: the parsed forms. All durations are milliseconds, whatever unit they are written in. */
export type Options = OptionsOf<Declared>;
export type OptionKey = keyof Options;

/** Every key once: what two rooms declared, the later of them would take. */
export const OPTIONS = Object.assign({}, ...Object.values(ROOMS)) as Declared;

export const OPTION_LIST: readonly (readonly [OptionKey, Option<unknown>])[] = Object.entries(
  OPTIONS as { [Key in OptionKey]: Option<unknown> },
).map(([key, option]) => [key as OptionKey, option]);

/** Says where the other options are; read from the process alone, so it is not one of them. */
export const ENV_FILE = {
  name: "RUNEGATE_ENV_FILE",
  described: "`/etc/runegate/runegate.env`, else `.env`",
  help: "A file of `NAME=value` lines, read for what the environment does not set.",
} as const;

/** Every name the environment may hold, for the search for misspelt ones. */
export const OPTION_NAMES: readonly string[] = [
  ENV_FILE.name,
  ...OPTION_LIST.flatMap(([, option]) =>
    isConfidential(option) ? [option.name, `${option.name}_FILE`] : [option.name],
  ),
];
