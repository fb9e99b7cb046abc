import { targetAddress } from "../net/endpoint.ts";
import { hostHeader } from "../net/host.ts";
import type { Declaration, OptionsOf } from "../option/option.ts";
import { boolean, boundedSize, byteSize, choice, DAY, duration, HOUR, MIB } from "../option/values.ts";

export type ProxyOptions = OptionsOf<typeof PROXY_OPTIONS>;

export const PROXY_OPTIONS = {
  target: {
    name: "RUNEGATE_TARGET_SERVICE",
    parse: targetAddress,
    default: "http://127.0.0.1:7860",
    help: "The application: an http or https origin, `unix:/path`, or `tunnel:` and a name. A port alone is one of 127.0.0.1.",
    flag: "--target",
    basic: true,
  },
  hostHeader: {
    name: "RUNEGATE_HOST_HEADER",
    parse: hostHeader,
    default: "pass",
    help:
      "The `Host` that the application gets: `pass` what the browser sent, `target` that of the target, or a name. " +
      "With the latter two, `Origin`, `Referer` and redirects are translated with it.",
    words: ["pass", "target"],
  },
  identityHeaders: {
    name: "RUNEGATE_IDENTITY_HEADERS",
    parse: boolean,
    default: "true",
    help: "Whether the application is told who is asking; what clients send under those names is removed either way.",
  },
  identityMode: {
    name: "RUNEGATE_IDENTITY_MODE",
    parse: choice("headers", "jwt", "both", "none"),
    default: {
      described: "`none` with `RUNEGATE_IDENTITY_HEADERS=false`, else `headers`",
      text: (known): string => (boolean(known.textOf("identityHeaders")) ? "headers" : "none"),
    },
    help:
      "How the application is told who is asking: by `headers`, by a signed token that it can verify (`jwt`), by `both` " +
      "or not at all (`none`). A route may say it otherwise.",
    words: ["headers", "jwt", "both", "none"],
  },
  streamResponses: {
    name: "RUNEGATE_STREAM_RESPONSES",
    parse: boolean,
    default: "true",
    help: "`false` collects a response (up to 2 MiB) before sending it.",
  },
  /** Milliseconds, as is the next. */
  connectTimeout: {
    name: "RUNEGATE_CONNECT_TIMEOUT",
    parse: duration("s", 100, HOUR),
    default: "10s",
    help: "How long to wait for a connection to the application; a plain number is seconds.",
  },
  responseTimeout: {
    name: "RUNEGATE_RESPONSE_TIMEOUT",
    parse: duration("s", 100, DAY),
    default: "600s",
    help: "How long to wait for the application's response headers; a plain number is seconds.",
  },
  /** Bytes; undefined is unlimited. */
  maxBody: {
    name: "RUNEGATE_MAX_BODY",
    parse: byteSize,
    default: "unlimited",
    help: "Largest request body passed on, such as `10MiB` or `1GB`; refused with 413 beyond it.",
  },
  /** Bytes. */
  maxMessage: {
    name: "RUNEGATE_MAX_MESSAGE",
    // Each is held whole, so there is no "unlimited".
    parse: boundedSize(1024 * MIB),
    default: "64MiB",
    help: "Largest single WebSocket message passed on, either way, uncompressed; up to 1GiB. A longer one closes the connection with 1009.",
  },
} satisfies Declaration;
