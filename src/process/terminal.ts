import { fstatSync } from "node:fs";

/** Whether somebody looks on. What is no device is none, which saves loading the module that knows terminals. */
export function isTerminal(descriptor: number): boolean {
  return fstatSync(descriptor).isCharacterDevice() && process.getBuiltinModule("node:tty").isatty(descriptor);
}
