import { type Declaration, OFF_IN_PRODUCTION } from "../option/option.ts";
import { boolean, choice } from "../option/values.ts";
import { logLevels } from "./levels.ts";
import { LEVELS } from "./logger.ts";

const FORMATS = ["console", "json"] as const;

export const LOG_OPTIONS = {
  logFormat: {
    name: "RUNEGATE_LOG_FORMAT",
    parse: choice(...FORMATS),
    default: "console",
    help: "`console` for people, `json` for one object a line.",
    words: FORMATS,
  },
  logLevels: {
    name: "RUNEGATE_LOG",
    parse: logLevels,
    default: "info",
    help:
      "A level (error, warn, info, debug, trace, off), or `module=level,…`; unknown modules are ignored. " +
      "`RUST_LOG` counts where this is unset.",
    words: [...LEVELS, "off"],
    alternative: "RUST_LOG",
  },
  requestLogs: {
    name: "RUNEGATE_REQUEST_LOGS",
    parse: boolean,
    default: OFF_IN_PRODUCTION,
    help: "Whether each request is one line in the log.",
  },
} satisfies Declaration;
