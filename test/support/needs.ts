/** Why something was skipped is said once, however many files it stops. */
const said = new Set<string>();

/**
 * Says why tests are skipped. A laptop may lack what they need; in CI (`CI` is set) a test that does not run is a failure.
 * @param problem what is missing, as a clause: "nginx is not installed".
 * @throws where `CI` is set.
 */
export function skipBecause(problem: string): void {
  if (process.env.CI) throw new Error(`${problem}, and in CI nothing is skipped.`);
  if (!said.has(problem)) console.warn(`Skipped: ${problem}.`);
  said.add(problem);
}

/**
 * Finds a program that some tests cannot do without.
 * @returns the program's path, or undefined to skip: `describe.skipIf(needs("nginx") === undefined)(…)`.
 */
export function needs(command: string): string | undefined {
  const path = Bun.which(command);
  if (path !== null) return path;
  skipBecause(`${command} is not installed`);
  return undefined;
}

/** @returns false to skip: `describe.skipIf(!needsRoot("to boot a machine"))(…)`. */
export function needsRoot(what: string): boolean {
  if (process.getuid?.() === 0) return true;
  skipBecause(`it takes root ${what}`);
  return false;
}
