import { join } from "node:path";
import type { Machine } from "./machine.ts";
import type { Authority, FromOutside, ToOutside } from "./messages.ts";

/** The world around a machine, in the test's hands. */
export type World = {
  /** Where there is one. */
  readonly authority: Authority | undefined;
  /** Waits for the next mail to an address. @returns the link and the code in it. @throws after 15 s */
  mailFor(address: string): Promise<{ readonly link: string; readonly code: string; readonly text: string }>;
  /** Makes visitors come before, while and after `work` is done. @returns what went wrong for them. */
  whileVisited(cookie: string, work: () => Promise<unknown>): Promise<readonly string[]>;
  /** What a WebSocket to the application's echo gives back. */
  echo(cookie: string, text: string): Promise<string>;
  end(): Promise<void>;
};

type Heard<K extends FromOutside["kind"]> = Extract<FromOutside, { kind: K }>;

function isOfKind<K extends FromOutside["kind"]>(message: FromOutside, kind: K): message is Heard<K> {
  return message.kind === kind;
}

const MAIL_MS = 15_000;
const ANSWER_MS = 30_000;

/**
 * @param certificate the path of what to trust.
 * @param pebble the folder of its programs, for an authority (`outside.ts`).
 */
export async function surround(
  machine: Machine,
  domain: string,
  certificate: string,
  pebble?: string,
): Promise<World> {
  const heard: FromOutside[] = [];
  let wake = Promise.withResolvers<void>();
  const child = Bun.spawn(
    [
      ...["nsenter", `--net=${machine.network()}`, "--"],
      ...[process.execPath, join(import.meta.dir, "outside.ts"), domain, certificate],
      ...(pebble === undefined ? [] : [pebble]),
    ],
    {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      ipc(message: FromOutside) {
        heard.push(message);
        wake.resolve();
        wake = Promise.withResolvers();
      },
    },
  );
  const say = (message: ToOutside) => child.send(message);

  /** Takes the first message of a kind that fits. */
  async function hear<K extends FromOutside["kind"]>(
    kind: K,
    withinMs: number,
    fits: (message: Heard<K>) => boolean = () => true,
  ): Promise<Heard<K>> {
    const late = Bun.sleep(withinMs).then(() => "late" as const);
    for (;;) {
      for (const [index, message] of heard.entries()) {
        if (!isOfKind(message, kind) || !fits(message)) continue;
        heard.splice(index, 1);
        return message;
      }
      if ((await Promise.race([wake.promise, late, child.exited])) === "late") {
        throw new Error(`nothing of "${kind}" in ${withinMs} ms`);
      }
      if (child.exitCode !== null) throw new Error(`the world ended with ${child.exitCode}`);
    }
  }

  const world = {
    async mailFor(address: string) {
      const { raw } = await hear("mail", MAIL_MS, ({ to }) => to.includes(address));
      // Quoted-printable, RFC 2045 §6.7.
      const text = raw
        .replace(/=\r\n/g, "")
        .replace(/=([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
      const link = /https:\/\/\S+\?token=[\w.-]+/.exec(text)?.[0] ?? "";
      const code = /^\s*([A-Z0-9]{4}-[A-Z0-9]{4})\s*$/m.exec(text)?.[1] ?? "";
      return { link, code, text };
    },
    async whileVisited(cookie: string, work: () => Promise<unknown>) {
      say({ kind: "visit", cookie });
      let failures: readonly string[];
      try {
        await hear("visiting", ANSWER_MS);
        await work();
      } finally {
        say({ kind: "leave" });
        ({ failures } = await hear("left", ANSWER_MS));
      }
      return failures;
    },
    async echo(cookie: string, text: string) {
      say({ kind: "echo", cookie, text });
      return (await hear("echoed", ANSWER_MS)).text;
    },
    async end() {
      child.kill();
      await child.exited;
    },
  };
  try {
    const { authority } = await hear("up", ANSWER_MS);
    return { ...world, authority };
  } catch (error) {
    await world.end();
    throw error;
  }
}
