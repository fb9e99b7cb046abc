import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { ValueError } from "../../option/value-error.ts";
import type { Io } from "../../process/io.ts";
import { isTerminal } from "../../process/terminal.ts";
import { UsageError } from "../command.ts";

/** Asking somebody at a terminal, or going by flags and defaults where nobody is there. */

export type Question<T> = {
  /** What it is about, on a line before. */
  readonly hint: string;
  readonly text: string;
  /** What answers it in place of somebody, with its hyphens. */
  readonly flag: string;
  readonly given: string | undefined;
  readonly default?: string | undefined;
  /** Not to be seen while it is typed. */
  readonly hidden?: true;
  /** @throws {ValueError} for what is no answer. */
  parse(text: string): T;
  /** What speaks against an answer that can be used all the same. */
  doubts?(answer: T): Promise<readonly string[]>;
};

export type Dialog = {
  /** Whether somebody is there. */
  readonly isInteractive: boolean;
  /** @throws {UsageError} that names the flag, where nobody is there who could mend it. */
  ask<T>(question: Question<T>): Promise<T>;
  /** @param otherwise the answer that stands for pressing Enter. */
  confirm(text: string, otherwise: boolean): Promise<boolean>;
};

/** Somebody pressed Ctrl-C or Ctrl-D. */
export class Abandoned extends Error {
  readonly code = "abandoned";
}

/**
 * Holds a dialog at the terminal.
 * @param silent nobody is to be asked.
 * @param agrees what would be asked to go on is agreed to.
 * @throws {Abandoned} at once when somebody leaves, also while `work` waits for something else.
 */
export async function holdDialog<T>(
  silent: boolean,
  agrees: boolean,
  io: Io,
  work: (dialog: Dialog) => Promise<T>,
): Promise<T> {
  // All three: what is asked is to be seen, and so is what it is about.
  if (silent || ![0, 1, 2].every(isTerminal)) return work(createDialog(io, agrees, undefined));
  const screen = createScreen();
  const left = Promise.withResolvers<never>();
  const lines = createInterface({
    input: process.stdin,
    output: screen.output,
    terminal: true,
    historySize: 0,
  });
  lines.on("SIGINT", () => left.reject(new Abandoned()));
  lines.on("close", () => left.reject(new Abandoned()));
  // Who comes back from a stop would find it ended: reading does not go on by itself.
  lines.on("SIGTSTP", () => {});
  // What is typed before it is asked for, such as a password that is pasted too early, is neither shown nor an answer.
  screen.mute(true);
  function prompt(text: string, hidden: boolean): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    screen.mute(false);
    lines.question(`${text} `, (line) => {
      screen.mute(true);
      if (hidden) process.stderr.write("\n");
      resolve(line);
    });
    screen.mute(hidden);
    return promise;
  }
  try {
    return await Promise.race([work(createDialog(io, false, prompt)), left.promise]);
  } finally {
    // Nobody hears of it any more; the terminal is as it was.
    left.promise.catch(() => {});
    lines.close();
  }
}

/** Standard error, but for what is hidden. */
function createScreen() {
  let isMuted = false;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!isMuted) process.stderr.write(chunk);
      done();
    },
  });
  // Where a line that is typed goes on to the next one.
  Object.defineProperty(output, "columns", { get: () => process.stderr.columns });
  const mute = (whether: boolean) => {
    isMuted = whether;
  };
  return { output, mute };
}

type Prompt = (text: string, hidden: boolean) => Promise<string>;

function createDialog(io: Io, agrees: boolean, prompt: Prompt | undefined): Dialog {
  async function answered<T>(question: Question<T>, isGiven: boolean): Promise<T | undefined> {
    const { hint, text, flag, default: fallback, hidden = false, parse, doubts } = question;
    const shown = fallback === undefined || fallback === "" ? `${text}:` : `${text} [${fallback}]:`;
    if (!isGiven && prompt !== undefined) io.err(`\n${hint}`);
    const line = isGiven ? question.given : await prompt?.(shown, hidden);
    // Of a password everything counts.
    const typed = hidden ? line : line?.trim();
    const answer = typed === "" && !isGiven ? fallback : (typed ?? fallback);
    if (answer === undefined && prompt === undefined)
      throw new UsageError(`nobody is there to be asked: say ${flag}.`);
    try {
      const value = parse(answer ?? "");
      const found = (await doubts?.(value)) ?? [];
      for (const line of found) io.err(`  ${line}`);
      if (found.length === 0 || isGiven || prompt === undefined) return value;
      return (await dialog.confirm("Use it all the same?", true)) ? value : undefined;
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      if (isGiven || prompt === undefined) throw new UsageError(`${flag} ${error.message}`);
      io.err(`  That ${error.message}`);
      return undefined;
    }
  }
  const dialog: Dialog = {
    isInteractive: prompt !== undefined,
    async ask(question) {
      for (;;) {
        const value = await answered(question, question.given !== undefined);
        if (value !== undefined) return value;
      }
    },
    async confirm(text, otherwise) {
      if (prompt === undefined) {
        if (agrees) return true;
        throw new UsageError("nobody is there to be asked whether to go on: say --yes.");
      }
      for (;;) {
        const said = (await prompt(`${text} ${otherwise ? "[Y/n]" : "[y/N]"}`, false)).trim().toLowerCase();
        if (said === "") return otherwise;
        if (/^(?:yes|no|y|n)$/.test(said)) return said.startsWith("y");
        io.err("  Please answer yes or no.");
      }
    },
  };
  return dialog;
}
