/**
 * Finds a program that some tests cannot do without. A laptop may lack it, and its tests are then skipped, saying so;
 * in CI (`CI` is set) a test that does not run is a failure.
 * @returns the program's path, or undefined to skip: `describe.skipIf(needs("nginx") === undefined)(…)`.
 */
export function needs(command: string): string | undefined {
  const path = Bun.which(command);
  if (path !== null) return path;
  const problem = `${command} is not installed`;
  if (process.env.CI) throw new Error(`${problem}, and in CI nothing is skipped.`);
  console.warn(`Skipped: ${problem}.`);
  return undefined;
}
