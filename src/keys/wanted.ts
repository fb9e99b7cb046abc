import { isPlain } from "../edge/target.ts";
import { networks } from "../net/endpoint.ts";
import { ValueError } from "../option/value-error.ts";
import { said } from "../pages/language.ts";
import type { KeyRecord } from "./record.ts";
import { bad, type KeyRefusal } from "./refusal.ts";

/** Who asks. */
export type Caller = {
  /** For the audit. */
  readonly name: string;
  readonly isAdmin: boolean;
};

export type KeyChange = {
  readonly description?: string | null | undefined;
  readonly disabled?: boolean | undefined;
  /** Milliseconds since the epoch, or `never`. */
  readonly expiresAt?: number | "never" | undefined;
};

/** What a new key is to be good for, as somebody asks for it. */

export type Limits = Pick<KeyRecord, "methods" | "paths" | "networks" | "rate">;

/** Each left out where nothing is to be limited by it. */
export type WantedLimits = { readonly [Name in keyof Limits]?: Limits[Name] | undefined };

const MOST_ENTRIES = 50;
const MOST_A_MINUTE = 10_000;
const LONGEST_DESCRIPTION = 256;

export function readLimits({ methods, paths, networks, rate }: WantedLimits): Limits | KeyRefusal {
  const lists = { methods: listed(methods), paths: listed(paths), networks: listed(networks) };
  for (const [name, list] of Object.entries(lists)) {
    if (list !== null && list.length > MOST_ENTRIES)
      return bad(said("keyRefused.many", { limit: name, most: `${MOST_ENTRIES}` }));
  }
  const odd = lists.methods?.find((one) => !/^[A-Z]{1,32}$/.test(one));
  if (odd !== undefined) return bad(said("keyRefused.method", { method: odd }));
  const crooked = lists.paths?.find((one) => !isPath(one));
  if (crooked !== undefined) return bad(said("keyRefused.path", { path: crooked }));
  const stray = lists.networks?.find((one) => !isNetwork(one));
  if (stray !== undefined) return bad(said("keyRefused.network", { network: stray }));
  if (rate != null && !(Number.isInteger(rate) && rate >= 1 && rate <= MOST_A_MINUTE))
    return bad(said("keyRefused.rate", { most: `${MOST_A_MINUTE}` }));
  return { ...lists, rate: rate ?? null };
}

/** An empty list limits nothing either: a key that opens nothing is of no use. */
function listed(list: readonly string[] | null | undefined): readonly string[] | null {
  return list == null || list.length === 0 ? null : list;
}

function isPath(written: string): boolean {
  const path = written.endsWith("/*") ? written.slice(0, -1) : written;
  return path.length <= 500 && /^\/[\x21\x22\x24-\x29\x2b-\x3e\x40-\x7e]*$/.test(path) && isPlain(path);
}

function isNetwork(written: string): boolean {
  try {
    return networks(written).length === 1;
  } catch (error) {
    if (error instanceof ValueError) return false;
    throw error;
  }
}

/** Null for none. @returns undefined where it is too long. */
export function readDescription(text: string | null | undefined): string | null | undefined {
  const plain = (text ?? "")
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  if (plain.length > LONGEST_DESCRIPTION) return undefined;
  return plain === "" ? null : plain;
}
