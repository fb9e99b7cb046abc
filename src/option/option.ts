import type { Random } from "../clock.ts";
import type { Parser } from "./value-error.ts";

/**
 * What an option is. Each room declares its own in `options.ts`, and `config/options.ts` collects them; what a room is handed
 * is inferred from its declaration ({@link OptionsOf}).
 */
export type Option<T> = {
  readonly name: string;
  readonly parse: Parser<T>;
  /** A text is what one would write in the environment, and goes through `parse` like any other. */
  readonly default: string | ComputedDefault;
  /** In Markdown, one sentence or two. */
  readonly help: string;
  /** What production adds, where it does. */
  readonly production?: string;
  /** Whether a first deployment has to think of it. */
  readonly basic?: true;
  /** The values there are, or some that have a name, for whoever completes a command line. */
  readonly words?: readonly string[];
  /** Another spelling of its flag than the one that the name has. */
  readonly flag?: string;
  /** May be given as `<name>_FILE` or as a systemd credential, and is never shown. */
  readonly secret?: true;
  /** May be given as `<name>_FILE` or as a systemd credential, and is shown without the user and password of a URL. */
  readonly holdsSecret?: true;
  /** How its value is shown, where more is secret than the user and password of a URL. */
  readonly shown?: (text: string) => string;
  /** An empty value is a value; everywhere else it counts as unset. */
  readonly emptyIsValue?: true;
  /** Another variable, read where this one is unset. */
  readonly alternative?: string;
};

/** A default that is not one fixed text. */
export type ComputedDefault = {
  /** For the reference, in Markdown. */
  readonly described: string;
  /** The default as one would write it in the environment; undefined leaves the option unset. */
  text(known: Known): string | undefined;
};

/** What a computed default may depend on: options declared further up, by their key, and the world. */
export type Known = {
  readonly production: boolean;
  /** Whether an option was given rather than left to its default. */
  isGiven(key: string): boolean;
  /** As it was given if that is good, else its default. */
  textOf(key: string): string;
  readonly random: Random;
  /** A directory for sockets that belongs to this user or service. */
  readonly runtimeDirectory: string;
};

/** The options of a room, by the key that the program knows them by. */
export type Declaration = Readonly<Record<string, Option<unknown>>>;

/** The parsed forms of what a declaration declares. */
export type OptionsOf<D> = { readonly [Key in keyof D]: ValueOf<D[Key]> };
type ValueOf<O> = O extends { readonly parse: Parser<infer T> }
  ? O extends { readonly default: { text(known: Known): infer Text } }
    ? undefined extends Text
      ? T | undefined
      : T
    : T
  : never;

export const unset = (described: string) => ({ described, text: () => undefined });
export const TRUE_IN_PRODUCTION = {
  described: "true in production",
  text: (known: Known) => String(known.production),
};
export const OFF_IN_PRODUCTION = {
  described: "on unless production",
  text: (known: Known) => String(!known.production),
};

/** Whether an option's value may be in a file of its own. */
export function isConfidential(option: Option<unknown>): boolean {
  return option.secret === true || option.holdsSecret === true;
}

const PREFIX = "RUNEGATE_";

/** The flag that stands for an option of this name: `--base-url` for `RUNEGATE_BASE_URL`. */
export function flagOf(name: string): string {
  return `--${name.slice(PREFIX.length).toLowerCase().replaceAll("_", "-")}`;
}
