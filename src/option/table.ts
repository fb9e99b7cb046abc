import { type Parser, ValueError } from "./value-error.ts";
import { each } from "./values.ts";

/** Tables of a TOML file, declared by the rooms that have one as options are. `config/table.ts` reads them. */
export type Table<K extends Keys = Keys> = {
  readonly keys: K;
  /** Whether a key that is not declared is a slip to tell of, or may change what the rest means. A warning where it is left out. */
  readonly unknown?: "error";
  /** What is to be said of several keys together. A key that has no good value is not in `values`. */
  check?(values: Partial<TableOf<K>>, report: Report<(keyof K & string) | PlaceBelow>): void;
};

export type Keys = Readonly<Record<string, Key<unknown> | Entries<unknown> | NestedTable | ListOfTables>>;

/** One value. Without a default, and if it is not optional, it has to be there. */
export type Key<T> = {
  /** As in the file. */
  readonly name: string;
  /** From what TOML makes of the value. @throws {ValueError} */
  readonly parse: (value: unknown) => T;
  /** A value to copy. */
  readonly example: string | number | boolean | readonly string[];
  /** In Markdown, one sentence or two. */
  readonly help: string;
  /** As one would write it in the file; goes through `parse` like any other. */
  readonly default?: string | number | boolean | readonly string[];
  readonly optional?: true;
};

/** `[name]`, or `name = { … }`, with names of the writer's own choice. Where it is left out there are none. */
export type Entries<T> = {
  readonly name: string;
  /** What one of them is worth. @throws {ValueError} */
  readonly entry: (value: unknown, name: string) => T;
  readonly example: Readonly<Record<string, string | readonly string[]>>;
  readonly help: string;
};

/** `[name]`. Where it is left out it is read as an empty one, if it is not optional. */
export type NestedTable = {
  readonly name: string;
  readonly table: Table;
  readonly help: string;
  readonly optional?: true;
};

/** `[[name]]`, any number of times. */
export type ListOfTables = {
  readonly name: string;
  readonly tables: Table;
  readonly help: string;
  /** Name of a table with values for all of them, for what one does not say itself. */
  readonly defaults?: string;
};

/** Of a root table: `routes[0].name`. */
type PlaceBelow = `${string}[${number}].${string}`;

/** An error keeps Runegate from starting. */
export type Report<Name extends string> = (
  severity: "error" | "warning",
  key: Name,
  problem: string,
  remedy: string,
) => void;

/** What a table holds, by the keys that the program knows its values by. */
export type TableOf<K extends Keys> = { readonly [Name in keyof K]: ValueOf<K[Name]> };
type ValueOf<Declared> =
  | (Declared extends { readonly optional: true } ? undefined : never)
  | (Declared extends { readonly tables: Table<infer K> }
      ? readonly TableOf<K>[]
      : Declared extends { readonly table: Table<infer K> }
        ? TableOf<K>
        : Declared extends { readonly entry: (value: unknown, name: string) => infer T }
          ? ReadonlyMap<string, T>
          : Declared extends { readonly parse: (value: unknown) => infer T }
            ? T
            : never);

export function table<const K extends Keys>(
  keys: K,
  check?: Table<K>["check"],
  unknown?: Table<K>["unknown"],
): Table<K> {
  return { keys, ...(check === undefined ? {} : { check }), ...(unknown === undefined ? {} : { unknown }) };
}

/** A text in quotes, for a parser of texts. */
export function text<T>(parse: Parser<T>): (value: unknown) => T {
  return (value) => {
    if (typeof value === "string") return parse(value);
    throw new ValueError("is not a text", "Put it in quotes.");
  };
}

/** As in the environment, for the parser of an option; numbers and switches go without quotes too. */
export function plain<T>(parse: Parser<T>): (value: unknown) => T {
  return (value) => {
    if (["string", "number", "boolean"].includes(typeof value)) return parse(String(value).trim());
    throw new ValueError("is neither a text, a number nor true or false", "Write one value.");
  };
}

/** A list, each item as {@link plain} takes it. */
export function listOf<T>(parse: Parser<T>): (value: unknown) => readonly T[] {
  return (value) => {
    if (Array.isArray(value)) return each(value, plain(parse));
    throw new ValueError("is not a list", 'Write values between brackets: ["a", "b"].');
  };
}
