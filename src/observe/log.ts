import { createConsoleFormat } from "./console-format.ts";
import { createJsonFormat } from "./json-format.ts";
import type { Fields, Level, LogFormat, LoggerFor, LogLevels } from "./logger.ts";
import { maskFields, maskTokens } from "./mask.ts";

/**
 * The log: lines to one place, in one of two formats, with a level per module.
 *
 * Nothing secret is ever handed to it: tokens, codes, cookies and secrets stay out of the fields by construction, and
 * a test runs a whole login at trace level and searches the lines for each of them.
 */

export type LogSettings = {
  readonly format: LogFormat;
  readonly levels: LogLevels;
  /** Takes one whole line without its line feed. */
  readonly write: (line: string) => void;
  readonly now: () => number;
  /** ANSI colors; only ever on a terminal. */
  readonly color: boolean;
};

const RANK: Readonly<Record<Level, number>> = { error: 0, warn: 1, info: 2, debug: 3, trace: 4 };

const discard = () => {};

/**
 * Makes the loggers of one log. Each line is whole and on one line whatever is logged: what could end it, imitate a
 * field or steer a terminal is escaped by the format.
 */
export function createLoggers(settings: LogSettings): LoggerFor {
  const { levels, write, now } = settings;
  const format = settings.format === "json" ? createJsonFormat() : createConsoleFormat(settings.color);

  return (module) => {
    const chosen = Object.hasOwn(levels.modules, module) ? levels.modules[module] : undefined;
    const highest = chosen ?? levels.default;
    const enabled = (level: Level) => highest !== "off" && RANK[level] <= RANK[highest];

    function writer(level: Level): (message: string, fields?: Fields) => void {
      if (!enabled(level)) return discard;
      const line = format(level, module);
      return (message, fields) => {
        const time = now();
        const text = line(time, message, fields);
        // Looked for once in the whole line: looking at each of its parts takes a fifth of the time that a line takes. Masked
        // there it could be no line any more, since an escape that stands before a token may run into it.
        const clean = maskTokens(text) === text;
        write(clean ? text : line(time, maskTokens(message), maskFields(fields)));
      };
    }

    return {
      error: writer("error"),
      warn: writer("warn"),
      info: writer("info"),
      debug: writer("debug"),
      trace: writer("trace"),
      enabled,
    };
  };
}
