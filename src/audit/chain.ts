import type { AuditEntry, ChainLink, Unchained } from "./entry.ts";

/**
 * Events in chains, one for each process that writes: what is changed, taken out or moved afterwards shows, and what is cut off at the
 * end shows to whoever knows the chain's head from elsewhere. It is evidence against somebody who has the records, and not the places
 * where the heads went.
 */

/** The last event of a chain, so far. */
export type Head = Pick<ChainLink, "writer" | "seq" | "hash">;

/** @returns the SHA-256, in hex, of the hash before and the event's canonical JSON, one behind the other. */
export function hashOf(prev: string, entry: Unchained): string {
  return Bun.SHA256.hash(prev + canonicalJson(entry), "hex");
}

/** The chain's next event. @param head the one before, or the name of a chain that begins. */
export function linked(entry: Unchained, head: Head): AuditEntry {
  const { writer, seq, hash: prev } = head;
  return { ...entry, chain: { writer, seq: seq + 1, prev, hash: hashOf(prev, entry) } };
}

export function emptyChain(writer: string): Head {
  // So that the first event, too, is bound to its writer.
  return { writer, seq: 0, hash: Bun.SHA256.hash(writer, "hex") };
}

/** JSON without spaces, and the fields of each object in the order of their names (RFC 8785, for what entries are made of). */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  let fields = "";
  for (const name of Object.keys(value).sort()) {
    const one = value[name as keyof typeof value] as unknown;
    if (one !== undefined) fields += `${fields && ","}${JSON.stringify(name)}:${canonicalJson(one)}`;
  }
  return `{${fields}}`;
}

/** A head as one word: `writer:seq:hash`. */
export function headText({ writer, seq, hash }: Head): string {
  return `${writer}:${seq}:${hash}`;
}

const COLORS = /\u001b\[\d*m/g;
/** Values that somebody else has chosen stand behind it, or in quotes. */
const CONSOLE_LINE = /^[^"]* event=audit_head heads=(\S+)$/;
const LIST = /^(?:\s*[A-Za-z0-9._-]+:\d{1,15}:[0-9a-f]{64})+\s*$/;

/**
 * The heads that a log tells of, in any of its formats, or that a list names. Only lines that are about them count: in the others,
 * visitors have their words, too, such as a path.
 */
export function notedHeads(text: string): Head[] {
  return text.split("\n").flatMap((line) => headsIn(toldBy(line.replace(COLORS, "").trimEnd())));
}

function toldBy(line: string): string {
  const [, told] = CONSOLE_LINE.exec(line) ?? [];
  if (told !== undefined || LIST.test(line)) return told ?? line;
  // Of the log, or of the audit; in a frame of syslog, too.
  const { event, heads, details } = objectIn(line.slice(line.indexOf("{")));
  return event === "audit_head" ? String(heads ?? details?.heads) : "";
}

type Line = { readonly event?: unknown; readonly heads?: unknown; readonly details?: Line };

function objectIn(text: string): Line {
  try {
    return (JSON.parse(text) as Line | null) ?? {};
  } catch {
    return {};
  }
}

/** All heads that a text names. */
export function headsIn(text: string): Head[] {
  return [...text.matchAll(/([A-Za-z0-9._-]+):(\d{1,15}):([0-9a-f]{64})/g)].map(
    ([, writer = "", seq, hash = ""]) => ({
      ...{ writer, seq: Number(seq), hash },
    }),
  );
}
