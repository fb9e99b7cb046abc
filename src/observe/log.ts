import { createConsoleFormat } from "./console-format.ts";
import { createJsonFormat } from "./json-format.ts";
import type { Fields, Level, LineFormat, LogFormat, LoggerFor, LogLevels } from "./logger.ts";
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
  readonly copies?: Copies;
};

/** Who takes lines too, each as a JSON object whatever the format. */
export type Copies = {
  readonly log?: ((line: string) => void) | undefined;
  /** The lines of the audit, at whatever level: they are no matter of how much is logged. */
  readonly audit?: ((line: string) => void) | undefined;
};

const RANK: Readonly<Record<Level, number>> = { error: 0, warn: 1, info: 2, debug: 3, trace: 4 };

/** The name of the module that logs events of the audit. */
const AUDIT = "audit";

const discard = () => {};

type Output = { readonly line: ReturnType<LineFormat>; readonly write: (line: string) => void };

/**
 * Makes the loggers of one log. Each line is whole and on one line whatever is logged: what could end it, imitate a
 * field or steer a terminal is escaped by the format.
 */
export function createLoggers(settings: LogSettings): LoggerFor {
  const { levels, write, now, copies = {} } = settings;
  const json = createJsonFormat();
  const format = settings.format === "json" ? json : createConsoleFormat(settings.color);

  function outputsOf(level: Level, module: string, isShown: boolean): readonly Output[] {
    const taking = [isShown ? copies.log : undefined, module === AUDIT ? copies.audit : undefined];
    const takers = taking.filter((take) => take !== undefined);
    if (isShown && format === json) takers.unshift(write);
    const shown = isShown && format !== json ? [{ line: format(level, module), write }] : [];
    const [only] = takers;
    if (only === undefined) return shown;
    const give = (line: string) => {
      for (const take of takers) take(line);
    };
    return [...shown, { line: json(level, module), write: takers.length === 1 ? only : give }];
  }

  return (module) => {
    const chosen = Object.hasOwn(levels.modules, module) ? levels.modules[module] : undefined;
    const highest = chosen ?? levels.default;
    const isShown = (level: Level) => highest !== "off" && RANK[level] <= RANK[highest];
    const enabled = (level: Level) => isShown(level) || (module === AUDIT && copies.audit !== undefined);

    function writer(level: Level): (message: string, fields?: Fields) => void {
      const outputs = outputsOf(level, module, isShown(level));
      if (outputs.length === 0) return discard;
      return (message, fields) => {
        const time = now();
        for (const { line, write } of outputs) {
          const text = line(time, message, fields);
          // Looked for once in the whole line: looking at each of its parts takes a fifth of the time that a line takes. Masked
          // there it could be no line any more, since an escape that stands before a token may run into it.
          const clean = maskTokens(text) === text;
          write(clean ? text : line(time, maskTokens(message), maskFields(fields)));
        }
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
