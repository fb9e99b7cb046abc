import type { Random } from "../../src/clock.ts";
import type { Mail } from "../../src/mail/mailer.ts";
import type { Fields, Level, Logger } from "../../src/observe/logger.ts";

export const NOW = Date.UTC(2030, 0, 15, 12, 30, 0);

/** Counts up, so ids differ; the first byte is 0, which makes the jitter 0. */
export function countingRandom(): Random {
  let count = 0;
  return {
    bytes(length) {
      const bytes = new Uint8Array(length);
      if (length >= 4) new DataView(bytes.buffer).setUint32(length - 4, ++count);
      return bytes;
    },
  };
}

export type LoggedLine = { readonly level: Level; readonly message: string; readonly fields: Fields };

export function recordingLog(): Logger & { readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}) => {
      lines.push({ level, message, fields });
    };
  return {
    lines,
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    trace: at("trace"),
    enabled: () => true,
  };
}

export function mailOf(changes: Partial<Mail> = {}): Mail {
  return {
    to: "ann@example.org",
    subject: "Your sign-in link",
    text: "https://gate.example/auth?token=abc\n\nABCD-2345\n",
    html: "<p>Hello</p>",
    messageId: "<0123@runegate.test>",
    queuedAt: NOW,
    ...changes,
  };
}

/** Waits for a condition that something else will bring about, for at most 20 seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("the condition did not come true");
    await Bun.sleep(2);
  }
}
