import { mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Configuration, loadConfiguration } from "../../config/configuration.ts";
import { ENV_FILE } from "../../config/options.ts";
import { EXIT } from "../../exit.ts";
import { ConfigError } from "../../option/finding.ts";
import type { Io } from "../../process/io.ts";
import { keepStarted } from "../../process/keep-started.ts";
import { asOwnerOf } from "../../rights.ts";
import { failed, type Outcome } from "../command.ts";
import { type Existing, isSystemError, readExisting, replaceFile } from "../replace-file.ts";
import { waitForCertificate } from "./certificate.ts";
import { install, restart } from "./install.ts";
import type { Plan, Planned } from "./plan.ts";

/** Doing what was agreed upon. */

/** Writes the two files, and nothing else. */
export function write({ env, email, origin }: Plan, io: Io): Outcome {
  const folder = dirname(env.path);
  const files = changed(email, env);
  asOwnerOf(folder, () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    refuseChanged(files);
    for (const file of files) replaceKept(file);
  });
  for (const { path } of files) io.out(`Written: ${path}`);
  io.out(`To start it for ${origin}: runegate serve --env-file ${env.path}`);
  return { data: { url: origin, written: files.map(({ path }) => path), installed: false } };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Writes them where the service has them, and installs it. What does not come to an end leaves the files as they were. */
export async function putInPlace(plan: Plan, isQuiet: boolean, io: Io): Promise<Outcome> {
  const { env, email, domain, tls } = plan;
  const before = loaded(env.path);
  refuseChanged([env, email]);
  // The others install.sh writes, with their owners, once there are some.
  const there = changed(env, email).filter(({ existing }) => existing.owner !== undefined);
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const name of SIGNALS) process.on(name, interrupt);
  let code: number | undefined;
  try {
    for (const file of there) replaceKept(file);
    const texts = { env: env.text, email: email.text || email.example };
    code = await install(texts, tls === "off" ? undefined : domain, isQuiet, interruption.signal, io);
  } finally {
    if (code !== EXIT.done) for (const file of there) putBack(file, io);
    for (const name of SIGNALS) process.off(name, interrupt);
  }
  return code === EXIT.done
    ? finish(plan, before, io)
    : failed(io, "It is not installed, for the reason above.");
}

async function finish(
  { env, email, tls, someone }: Plan,
  before: Configuration | undefined,
  io: Io,
): Promise<Outcome> {
  const configuration = loadConfiguration({ env: { [ENV_FILE.name]: env.path } });
  const { baseUrl } = configuration.options;
  const notes: string[] = [];
  if (before !== undefined) keepStarted(before, configuration, { warn: (line) => notes.push(line) });
  for (const note of notes) io.out(`  ${note}`);
  if (notes.length > 0 && !(await restart(io)))
    return failed(io, "It did not start again. See: journalctl -u runegate");
  const isUp = tls !== "acme" || (await waitForCertificate(configuration, io));
  if (tls === "off") io.out("It listens for the proxy in front, which has to be told: see the guide, HTTPS.");
  else if (isUp) io.out(`Done: open ${baseUrl}${someone === undefined ? "" : ` and sign in as ${someone}`}.`);
  const written = changed(env, email).map(({ path }) => path);
  return { code: isUp ? EXIT.done : EXIT.failed, data: { url: baseUrl, written, installed: true } };
}

/** What is there, if it is good. */
function loaded(path: string): Configuration | undefined {
  try {
    return loadConfiguration({ env: { [ENV_FILE.name]: path } });
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Those whose text is another one, and that have any. */
function changed(...files: readonly Planned[]): readonly Planned[] {
  return files.filter(({ existing, text }) => text !== existing.before.toString("utf8"));
}

/** @throws {ConfigError} for one that somebody else has changed, or another setup, since it was read. */
function refuseChanged(files: readonly Planned[]): void {
  const problems = files
    .filter(({ existing }) => !holds(existing, existing.before))
    .map(({ path }) => ({
      ...{ option: path, problem: "has been changed by somebody else meanwhile" },
      remedy: "Nothing was written. Run setup again.",
    }));
  if (problems.length > 0) throw new ConfigError(problems);
}

const holds = ({ path }: Existing, content: Uint8Array) => readExisting(path).before.equals(content);

/** What others may do with a file that gets secrets, whoever gave them that, is taken away. */
const CLOSED = 0o640;

function replaceKept({ existing, text }: Planned): void {
  const file = { ...existing, mode: existing.mode & CLOSED };
  if (existing.owner !== undefined)
    replaceFile({ ...file, path: `${existing.path}.previous` }, existing.before);
  replaceFile(file, Buffer.from(text));
}

/** One that is no longer as it was written here is somebody else's by now. One that cannot be put back keeps no other from it. */
function putBack({ existing, text }: Planned, io: Io): void {
  try {
    if (holds(existing, Buffer.from(text))) replaceFile(existing, existing.before);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    io.err(
      `${existing.path} could not be put back (${error.message}): see ${basename(existing.path)}.previous`,
    );
  }
}
