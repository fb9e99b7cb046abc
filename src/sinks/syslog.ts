import { hostname } from "node:os";
import { VERSION } from "../version.ts";

/** A line as a message of RFC 5424. */

/** RFC 5424 §6.2.1. */
const FACILITY = { log: 16, audit: 10 } as const; // local0, authpriv
const SEVERITY: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7, trace: 7 };
const MAX_SEQUENCE = 2 ** 31 - 1;
const CUT = "…[cut]";

/**
 * @param most bytes of a message; a longer one is cut in its text, and says so.
 * @returns what takes lines of the log, JSON objects, in their order.
 */
export function createSyslogFormat(audience: keyof typeof FACILITY, most: number): (line: string) => Buffer {
  const host = printable(hostname(), 255);
  let sequence = 0;

  return (line) => {
    const { time, level, module, event } = partsOf(line);
    sequence = (sequence % MAX_SEQUENCE) + 1;
    const priority = FACILITY[audience] * 8 + (SEVERITY[level] ?? 6);
    const origin = `[origin software="runegate" swVersion="${VERSION}"]`;
    const head =
      `<${priority}>1 ${printable(time, 32)} ${host} runegate ${process.pid} ${printable(event ?? module, 32)} ` +
      `${origin}[meta sequenceId="${sequence}"] `;
    // The JSON has no control character and no half of a pair, whatever was logged: the frame cannot be broken by it.
    const message = Buffer.from(head + line);
    if (message.length <= most) return message;
    return Buffer.concat([wholeCharacters(message, most - Buffer.byteLength(CUT)), Buffer.from(CUT)]);
  };
}

function partsOf(line: string): { time: string; level: string; module: string; event?: string } {
  const { time, level, module, event } = JSON.parse(line) as Record<string, unknown>;
  return {
    ...{ time: String(time), level: String(level), module: String(module) },
    ...(module === "audit" && typeof event === "string" ? { event } : {}),
  };
}

/** PRINTUSASCII of RFC 5424 §6, or its NILVALUE. */
function printable(text: string, most: number): string {
  return text.replace(/[^!-~]/g, "").slice(0, most) || "-";
}

/** The beginning, without a character that would be cut in two (RFC 3629 §3: what goes on begins with the bits 10). */
function wholeCharacters(bytes: Buffer, most: number): Buffer {
  let end = most;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
