import { test } from "bun:test";
import type { Machine } from "./machine.ts";

/** Also building the Debian, where it is not cached. */
export const PREPARE_MS = 12 * 60_000;
export const STEP_MS = 120_000;

/** @returns what declares a step on a machine: where it fails, the machine's journal is shown with it. */
export function stepsOn(machine: () => Machine): (name: string, work: () => Promise<void>) => void {
  return (name, work) =>
    test(
      name,
      async () => {
        try {
          await work();
        } catch (error) {
          console.error(await machine().run("journalctl --no-pager -n 25 2>/dev/null").catch(String));
          throw error;
        }
      },
      STEP_MS,
    );
}
