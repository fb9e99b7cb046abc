import { afterEach } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStage, type Stage, until } from "../process/stage.ts";
import { type Pebble, startPebble } from "../support/pebble.ts";
import { freePort } from "../support/process.ts";
import { ask, shown } from "./client.ts";

/** Pebble, an application, and gateways in front of it that order certificates. */

const folders: string[] = [];
const opened: AsyncDisposable[] = [];

/**
 * To be called by each file of tests, since several may be run by one process and share this module: what is opened here is
 * closed after each of its tests.
 */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
}

export function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), "runegate-acme-"));
  folders.push(folder);
  return folder;
}

export function closeLater(stop: () => Promise<unknown>): void {
  opened.push({
    async [Symbol.asyncDispose]() {
      await stop();
    },
  });
}

export const APP = "app.example.test";
export const WIKI = "wiki.example.test";
export const NEW = "new.example.test";
export const REFUSED = "refused.example.test";

const routesFor = (application: string, hosts: readonly string[]) =>
  [
    `[[routes]]\nname = "main"\ntarget = "${application}"\nallow = ["anyone"]\n`,
    ...hosts.map(
      (host) =>
        `[[routes]]\nname = "${host.split(".")[0]?.replace("*", "wild")}"\nhost = "${host}"\ntarget = "${application}"\nallow = ["anyone"]\n`,
    ),
  ].join("\n");

export type World = {
  readonly pebble: Pebble;
  readonly folder: string;
  /** Who came to the application. */
  readonly visits: string[];
  readonly port: number;
  readonly httpPort: number;
  /** Moves the clocks of what is started here. */
  advance(milliseconds: number): void;
  writeRoutes(hosts: readonly string[]): void;
  env(more?: Readonly<Record<string, string>>): Record<string, string>;
  open(settings?: { workers?: number; options?: Readonly<Record<string, string>> }): Promise<Stage>;
};

/** @param programs of Pebble. @param hosts of further applications. */
export async function openWorld(
  programs: string | undefined,
  hosts: readonly string[],
  pebbleSettings: { accounts?: Record<string, string> } = {},
): Promise<World> {
  const folder = folderOf();
  const visits: string[] = [];
  const application = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      visits.push(request.url);
      return new Response("hello");
    },
  });
  closeLater(() => application.stop(true));
  const [port, httpPort] = [freePort(), freePort()];
  const pebble = await startPebble(programs ?? "", { httpPort, refused: [REFUSED], ...pebbleSettings });
  opened.push(pebble);
  const clock = join(folder, "ahead");
  const routes = join(folder, "routes.toml");
  const replace = (file: string, text: string) => {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  const root = join(folder, "root.pem");
  writeFileSync(root, await pebble.root());
  let ahead = 0;
  const advance = (milliseconds: number) => {
    ahead += milliseconds;
    replace(clock, String(ahead));
  };
  const writeRoutes = (names: readonly string[]) => replace(routes, routesFor(application.url.origin, names));
  advance(0);
  writeRoutes(hosts);
  const env = (more: Readonly<Record<string, string>> = {}) => ({
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
    RUNEGATE_BASE_URL: `https://${APP}:${port}`,
    RUNEGATE_TARGET_SERVICE: "",
    RUNEGATE_ALLOW_ANY_EMAIL: "false",
    RUNEGATE_ROUTES: routes,
    RUNEGATE_TLS: "acme",
    RUNEGATE_TLS_DIRECTORY: join(folder, "certificates"),
    RUNEGATE_ACME_DIRECTORY: pebble.directory,
    RUNEGATE_ACME_CA: pebble.ca,
    RUNEGATE_ACME_EMAIL: "ops@example.test",
    RUNEGATE_EMAIL_CONFIG: mailFile(folder),
    ...more,
  });
  return {
    ...{ pebble, folder, visits, port, httpPort, advance, writeRoutes, env },
    async open({ workers = 1, options = {} } = {}) {
      const preloaded = ["--preload", join(import.meta.dir, "../process/moved-clock.ts")];
      const stage = await openStage({
        workers,
        options: env(options),
        env: { MOVED_CLOCK: clock, NODE_EXTRA_CA_CERTS: root },
        command: [process.execPath, ...preloaded, join(import.meta.dir, "../../src/main.ts"), "serve"],
      });
      opened.push(stage);
      return stage;
    },
  };
}

/** Nothing is sent here; without a file, a site that is not on this machine does not start. */
export function mailFile(folder: string): string {
  const [file, outbox] = [join(folder, "email.toml"), join(folder, "mails")];
  mkdirSync(outbox, { recursive: true });
  const lines = [
    'backend = "file"',
    `directory = "${outbox}"`,
    'from_address = "gate@example.test"',
    'body_template = "{login_url} {code}"',
  ];
  writeFileSync(file, lines.join("\n"), { mode: 0o600 });
  return file;
}

export const isTrusted = async ({ port, pebble }: World, name: string) =>
  (await shown(port, name, { ca: await pebble.root() })).trusted;

export const trusted = (world: World, ...names: readonly string[]) =>
  until(
    `a certificate of Pebble's for ${names}`,
    async () => {
      for (const name of names) if (!(await isTrusted(world, name))) return false;
      return true;
    },
    120_000,
  );

/** From then on nobody is shown another one: until then, the listener before takes connections too. */
export async function goesOn(stage: Stage, ...names: readonly string[]): Promise<void> {
  for (const name of names)
    await stage.says(new RegExp(` goes on with another certificate [^\\n]*name=${name}`));
}

export const answers = async ({ port }: World, name = APP) =>
  (await ask(`https://${name}:${port}`, "/_runegate/health")).status;

export const hup = async (stage: Stage) => {
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
};
