/**
 * `fetch` runs 256 requests at a time and lets the others wait without an end: 256 open event streams would hang
 * everybody. Bun reads the limit from the environment when the process starts, so a process that was started without it
 * starts itself again, under the same pid.
 */
const VARIABLE = "BUN_CONFIG_MAX_HTTP_REQUESTS";
const CEILING = "65535";

export function raiseFetchCeiling(env: Readonly<Record<string, string | undefined>>): void {
  if (env[VARIABLE] !== undefined) return;
  process.execve?.(process.execPath, commandLine(), { ...defined(env), [VARIABLE]: CEILING });
}

/** As this process was called. In a compiled executable the script is inside and not an argument. */
function commandLine(): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/");
  const script = compiled ? [] : [...process.execArgv, Bun.main];
  return [process.execPath, ...script, ...process.argv.slice(2)];
}

function defined(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}
