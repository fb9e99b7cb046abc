import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Configuration, loadConfiguration } from "../../config/configuration.ts";
import { ENV_FILE } from "../../config/options.ts";
import { EXIT } from "../../exit.ts";
import { ConfigError } from "../../option/finding.ts";
import type { Io } from "../../process/io.ts";
import { keepStarted } from "../../process/keep-started.ts";
import { asOwnerOf } from "../../rights.ts";
import { failed, type Outcome } from "../command.ts";
import { replaceFile } from "../replace-file.ts";
import { waitForCertificate } from "./certificate.ts";
import { install, restart } from "./install.ts";
import type { Plan, Planned } from "./plan.ts";

/** Doing what was agreed upon. */

/** Writes the two files, and nothing else. */
export function write({ env, email, domain }: Plan, io: Io): Outcome {
  const folder = dirname(env.path);
  const files = changed(email, env);
  asOwnerOf(folder, () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const file of files) replaceKept(file);
  });
  for (const { path } of files) io.out(`Written: ${path}`);
  io.out(`To start it for https://${domain}: runegate serve --env-file ${env.path}`);
  return { data: { url: `https://${domain}`, written: files.map(({ path }) => path), installed: false } };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Writes them where the service has them, and installs it. What does not come to an end leaves the files as they were. */
export async function putInPlace(plan: Plan, isQuiet: boolean, io: Io): Promise<Outcome> {
  const { env, email, domain, tls } = plan;
  const before = loaded(env.path);
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
    if (code !== EXIT.done) for (const { existing } of there) replaceFile(existing, existing.before);
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

function replaceKept({ existing, text }: Planned): void {
  if (existing.owner !== undefined)
    replaceFile({ ...existing, path: `${existing.path}.previous` }, existing.before);
  replaceFile(existing, Buffer.from(text));
}
