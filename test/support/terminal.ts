/** A program at a terminal of its own, and somebody who types. */
export type AtTerminal = {
  readonly pid: number;
  /** All that was on the screen so far, without what moves the cursor. */
  screen(): string;
  /**
   * Waits for what has come on the screen since the last answer was typed.
   * @throws after `withinMs`, or when the program ends first.
   */
  says(pattern: RegExp, withinMs?: number): Promise<void>;
  /** Types as a person does, a key at a time; `\r` is Enter, `\x03` Ctrl-C. */
  type(keys: string): void;
  /** All at once. */
  paste(text: string): void;
  /** Waits for a question, and answers it. */
  answer(question: RegExp, text: string, withinMs?: number): Promise<void>;
  readonly exited: Promise<number>;
  signal(name: NodeJS.Signals): void;
};

/** Whatever a terminal obeys (ECMA-48). */
const CONTROL = new RegExp(`${"\x1b"}\\[[0-9;?]*[A-Za-z]`, "g");

export function atTerminal(
  command: readonly string[],
  { env = {}, cwd }: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): AtTerminal {
  const decoder = new TextDecoder();
  let raw = "";
  let answered = 0;
  let wake = Promise.withResolvers<void>();
  const child = Bun.spawn([...command], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env.PATH ?? "", TERM: "xterm", ...env },
    terminal: {
      cols: 200,
      rows: 50,
      data(_terminal, data) {
        raw += decoder.decode(data, { stream: true });
        wake.resolve();
        wake = Promise.withResolvers();
      },
    },
  });
  const screen = () => raw.replaceAll(CONTROL, "").replaceAll("\r", "");
  const terminal: AtTerminal = {
    pid: child.pid,
    screen,
    async says(pattern, withinMs = 20_000) {
      const end = Date.now() + withinMs;
      while (!pattern.test(screen().slice(answered))) {
        const left = end - Date.now();
        if (left <= 0 || child.exitCode !== null)
          throw new Error(`did not say ${pattern} (${child.exitCode ?? "in time"}):\n${screen()}`);
        await Promise.race([wake.promise, child.exited, Bun.sleep(left)]);
      }
    },
    type(keys) {
      answered = screen().length;
      for (const key of keys) child.terminal?.write(key);
    },
    paste(text) {
      answered = screen().length;
      child.terminal?.write(text);
    },
    async answer(question, text, withinMs) {
      await terminal.says(question, withinMs);
      terminal.type(`${text}\r`);
    },
    exited: child.exited.then((code) => {
      // What it said last is still on its way.
      return Bun.sleep(50).then(() => code);
    }),
    signal: (name) => child.kill(name),
  };
  return terminal;
}
