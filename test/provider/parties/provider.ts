import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSample } from "../../../src/sample/app.ts";
import { openStage } from "../../process/stage.ts";
import { addKeys } from "./new-keys.ts";
import type { Client } from "./party.ts";
import type { Form, Page, Person } from "./person.ts";

/** Runegate as the parties see it: a process of its own, whose people are ada, bob and another ada of the staff, and eve who is in no group. */
export type Provider = {
  readonly issuer: string;
  /** From a page of ours that asks who one is: by the code in the mail, to where that leads. */
  signIn(person: Person, page: Page, email: string): Promise<Page>;
  /** The code in the mail that comes next. */
  codeFor(email: string): Promise<string>;
  /** Says yes where we ask whether to sign out. */
  confirmLogout(person: Person, page: Page): Promise<Page>;
  /** As an administrator does it. */
  endSessions(email: string): Promise<void>;
  /** New keys sign from now on; the ones before are still published. */
  rotateKeys(): Promise<void>;
  output(): string;
} & AsyncDisposable;

const ROUTES = `
  [groups]
  staff = ["ada@example.org", "bob@example.org", "ada@other.example"]

  [[routes]]
  name = "home"
  target = "TARGET"
  allow = ["@example.org", "ada@other.example"]`;

/** @param clients all of them may be used by the staff. */
export async function startProvider(clients: readonly Client[]): Promise<Provider> {
  const directory = mkdtempSync(join(tmpdir(), "runegate-provider-"));
  const sample = startSample({ hostname: "127.0.0.1", port: 0 });
  function write(name: string, text: string): string {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  }
  const tables = clients.map((client) => tableOf(client, (secret) => write(`${client.id}.secret`, secret)));
  const stage = await openStage({
    sqlite: true,
    options: {
      RUNEGATE_TARGET_SERVICE: "",
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ROUTES: write("routes.toml", ROUTES.replace("TARGET", sample.url)),
      RUNEGATE_CLIENTS: write("clients.toml", tables.join("\n")),
    },
  });

  async function codeFor(email: string): Promise<string> {
    const mail = new RegExp(`Mail for ${RegExp.escape(email)}\\n +Link: \\S+\\n +Code: (\\d{4} \\d{4})`);
    const [, code = ""] = await stage.says(mail);
    return code;
  }

  return {
    issuer: stage.url,
    output: stage.main.output,
    codeFor,
    async signIn(person, page, email) {
      const asked = await person.send(page, { email }, hasField("email"));
      return person.send(asked, { code: await codeFor(email) }, hasField("code"));
    },
    async confirmLogout(person, page) {
      return page.url.startsWith(stage.url) ? person.send(page) : page;
    },
    async endSessions(email) {
      const { code, output } = await stage.command("sessions", "revoke", email);
      if (code !== 0) throw new Error(output);
    },
    async rotateKeys() {
      await addKeys(join(stage.directory, "state.db"), Buffer.from("5".repeat(128), "hex"));
      // What the store has is looked at every minute, and by a new worker at once.
      stage.main.signal("SIGHUP");
      await stage.says(/ reloaded /);
    },
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]();
      await sample.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

const hasField =
  (name: string) =>
  ({ fields }: Form): boolean =>
    name in fields;

/** One client as `clients.toml` has it. @param keep writes a secret to a file, and gives its path. */
function tableOf(client: Client, keep: (secret: string) => string): string {
  const {
    id,
    secret,
    redirectUris,
    postLogoutRedirectUris = [],
    backchannelLogoutUri,
    algorithm,
    device,
  } = client;
  return [
    "[[clients]]",
    `id = ${JSON.stringify(id)}`,
    ...(secret === undefined ? [] : [`secret_file = ${JSON.stringify(keep(secret))}`]),
    `redirect_uris = ${JSON.stringify(redirectUris)}`,
    `post_logout_redirect_uris = ${JSON.stringify(postLogoutRedirectUris)}`,
    ...(backchannelLogoutUri === undefined
      ? []
      : [`backchannel_logout_uri = ${JSON.stringify(backchannelLogoutUri)}`]),
    ...(algorithm === undefined ? [] : [`id_token_signed_response_alg = ${JSON.stringify(algorithm)}`]),
    ...(device ? ["device = true"] : []),
    `allow = ["group:staff"]`,
    "",
  ].join("\n");
}
