/** What is logged, and how much of it: the words that everything which writes to the log shares. */

export const LEVELS = ["error", "warn", "info", "debug", "trace"] as const;
export type Level = (typeof LEVELS)[number];

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export type Logger = {
  readonly [level in Level]: (message: string, fields?: Fields) => void;
} & {
  /** False when a line of this level would be dropped: ask before building costly fields. */
  enabled(level: Level): boolean;
};

export type LogFormat = "console" | "json";

/** How much each module says. `default` holds for the modules without a level of their own. */
export type LogLevels = {
  readonly default: Level | "off";
  readonly modules: Readonly<Record<string, Level | "off">>;
};

/** Prepares what lines of one level and module have in common, and gives what makes each of them. */
export type LineFormat = (
  level: Level,
  module: string,
) => (time: number, message: string, fields: Fields | undefined) => string;

/** One logger per module name; made once by the composition root and handed down. */
export type LoggerFor = (module: string) => Logger;
